/**
 * How often somebody may try to log in. Counted in Redis, so that two servers do not give twice as many tries.
 *
 * By account and address together: a limit by account alone would let anybody lock a user out. And by address alone, more
 * generously, against one who tries one password on many accounts. Who guesses from a thousand addresses gets a thousand times as
 * far: see the chapter. When Redis is away nobody can log in at all, so nobody can guess either.
 */
import { createHash } from 'node:crypto';
import { HttpProblem } from '@patterns/kit/problem';
import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import type { Redis } from 'ioredis';
import { type RedisReply, RedisStore } from 'rate-limit-redis';
import type { Metrics } from './metrics.ts';
import { SessionStoreError } from './session-store.ts';

/** 15 min: five tries in it are 480 a day, and a password that falls to these was no password. */
const WINDOW_MS = 15 * 60_000;

export interface LoginLimitOptions {
  redis: Redis;
  prefix: string;
  /** Tries for one account from one address within 15 minutes, until one succeeds. */
  perAccount: number;
  /** Tries from one address: an office behind one. */
  perAddress: number;
  metrics: Metrics;
}

export function limitLogins({ redis, prefix, perAccount, perAddress, metrics }: LoginLimitOptions) {
  const byAddress = (request: Request) => ipKeyGenerator(request.ip ?? ''); // of IPv6 the network: a host has 2^64 addresses
  // A digest: names are entered by strangers, and sometimes they are passwords.
  const byAccount = (request: Request) =>
    `${byAddress(request)}:${createHash('sha256').update(String(request.body.name)).digest('base64url')}`;

  const counts = (name: string) =>
    new RedisStore({ prefix: `${prefix}login:${name}:`, sendCommand: commandsThatRecover(redis) });
  const limit = (name: string, tries: number, store: RedisStore, keyGenerator: (request: Request) => string) =>
    rateLimit({
      windowMs: WINDOW_MS,
      limit: tries,
      keyGenerator,
      store,
      standardHeaders: 'draft-8',
      legacyHeaders: false,
      identifier: name,
      handler: (_request, _response, next) => {
        metrics.logins.inc({ outcome: 'limited' });
        next(new HttpProblem(429, { detail: 'too many tries: wait a while' })); // Retry-After is set already
      },
    });
  const ofAccounts = counts('account');
  const check: RequestHandler[] = [
    limit('address', perAddress, counts('address'), byAddress),
    limit('account', perAccount, ofAccounts, byAccount),
  ];
  return {
    check,
    /** After a success: who mistypes twice each morning is not locked out by the evening. */
    forgive: (request: Request): Promise<void> => ofAccounts.resetKey(byAccount(request)),
  };
}

/**
 * Sends a limiter's commands. The library loads its scripts once, when it is made, and keeps the promise: if Redis was away at
 * that moment, every request would fail by it, for ever. So nothing is loaded here: each call takes its script along.
 */
function commandsThatRecover(redis: Redis) {
  const scripts = new Map<string, string>();
  return async (command: string, ...args: string[]): Promise<RedisReply> => {
    if (command === 'SCRIPT') {
      const script = args[1]!;
      const digest = createHash('sha1').update(script).digest('hex');
      scripts.set(digest, script);
      return digest;
    }
    const sent = command === 'EVALSHA' ? ['EVAL', scripts.get(args[0]!)!, ...args.slice(1)] : [command, ...args];
    return (await redis.call(sent[0]!, ...sent.slice(1)).catch((cause) => {
      throw new SessionStoreError('login limit', { cause });
    })) as RedisReply;
  };
}
