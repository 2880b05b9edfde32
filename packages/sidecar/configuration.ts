/**
 * What a sidecar can be told, and what it does when it is told nothing. A power that is `false` is not there at all.
 */
import type { Log } from '@patterns/kit/log';
import type { AccessLogOptions } from './access-log.ts';
import type { BreakerOptions } from './breaker.ts';
import type { Engine, EngineOptions, Timeouts } from './engine.ts';
import type { Power } from './exchange.ts';
import type { Limits } from './limits.ts';
import type { RateLimit } from './rate-limit.ts';
import type { CacheOptions } from './response-cache.ts';
import type { RetryOptions } from './retry.ts';
import type { TokenCheck } from './token-check.ts';

export type EngineName = 'express' | 'undici';

export interface SidecarOptions {
  /** The app: `unix:/run/app.sock` or `http://127.0.0.1:3000`. */
  upstream: string;
  engine?: EngineName;
  port?: number | undefined;
  adminPort?: number | undefined;
  /** Where requests are counted together; without it each sidecar counts for itself. */
  redisUrl?: string | undefined;
  /** What happens to the sidecar, not to its requests. */
  log?: Log;
  accessLog?: Partial<AccessLogOptions> | false;
  limit?: Partial<RateLimit> | false;
  /** Off unless given: nobody can guess a key. */
  tokens?: TokenCheck | false;
  cache?: Partial<CacheOptions> | false;
  /** Powers of one's own, before all others: they see every request, and may hear its end. */
  powers?: readonly Power[];
  limits?: Partial<Limits>;
  timeouts?: Partial<Timeouts>;
  breaker?: Partial<BreakerOptions>;
  retry?: Partial<RetryOptions>;
  /** Proxies of our own in front of the sidecar, whose X-Forwarded-For is believed. */
  trustedHops?: number;
  /** How long requests under way may take to finish at the end. */
  graceMs?: number | undefined;
}

/** Fills in what was left out. */
export function withDefaults({ accessLog = {}, limit = {}, tokens = false, cache = {}, ...options }: SidecarOptions) {
  return {
    engine: 'express' as EngineName,
    trustedHops: 0,
    ...options,
    tokens,
    accessLog: accessLog && { ...ACCESS_LOG, ...accessLog },
    limit: limit && { ...RATE_LIMIT, ...limit },
    cache: cache && { ...CACHE, ...cache },
    limits: { ...LIMITS, ...options.limits },
    timeouts: { ...TIMEOUTS, ...options.timeouts },
    breaker: { ...BREAKER, ...options.breaker },
    retry: { ...RETRY, ...options.retry },
  };
}

const ACCESS_LOG: AccessLogOptions = {
  output: process.stderr,
  headers: ['user-agent', 'content-type'],
  query: ['page', 'limit'],
  maxPendingBytes: 4_000_000, // some 10,000 lines
};
// The textbook allows 100 in 15 minutes, which locks out a person who reloads a page: more, and sooner forgotten.
const RATE_LIMIT: RateLimit = { max: 300, windowMs: 60_000, whenRedisIsAway: 'local', prefix: 'patterns:sidecar:' };
const CACHE: CacheOptions = { maxBytes: 50_000_000, maxEntryBytes: 1_000_000 };
const LIMITS: Limits = {
  maxBodyBytes: 10_000_000,
  maxHeaderBytes: 16_384,
  maxHeaders: 100,
  headersMs: 10_000,
  requestMs: 60_000,
};
const TIMEOUTS: Timeouts = { connectMs: 1_000, headersMs: 10_000, idleMs: 60_000, totalMs: 300_000 };
const BREAKER: BreakerOptions = { maxFailures: 5, openMs: 5_000 };
const RETRY: RetryOptions = { ratio: 0.1, reserve: 10 };

/** Opens the engine of that name; the other one is not even loaded. */
export async function openEngine(name: EngineName, options: EngineOptions): Promise<Engine> {
  if (name === 'undici') return (await import('./undici-engine.ts')).createUndiciEngine(options);
  return (await import('./express-engine.ts')).createExpressEngine(options);
}
