/**
 * Who a customer is: their access token says so, and the user service is not asked. It could be away for as long as a token lives, and
 * whoever is logged in would notice nothing.
 *
 * Its public keys are fetched from each of its instances: they all publish the same, and one of them is there.
 */
import type { Log } from '@patterns/kit/log';
import { type Jwks, openJwks } from '@patterns/stateless-auth/jwks';
import { type Claims, JWKS_PATH } from '@patterns/stateless-auth/protocol';
import { requireScope } from '@patterns/stateless-auth/require-scope';
import { createVerifier } from '@patterns/stateless-auth/verifier';
import type { RequestHandler, Response } from 'express';
import { ISSUER, SCOPE } from '../contracts/user.ts';
import { AUDIENCE } from '../protocol.ts';

/** Between two fetches for a key that nobody knows. Half a second: at the start, the user service may come up after us. */
const COOLDOWN_MS = 500;

export interface Access extends AsyncDisposable {
  /** Lets in who shows a good token: 401, 403, or 503 while there are no keys. */
  readonly door: RequestHandler;
  /** Whether tokens can be checked. Asks for keys when there are none yet. */
  isReady(): Promise<boolean>;
}

export async function openAccess(userUrls: readonly string[], log: Log): Promise<Access> {
  await using opened = new AsyncDisposableStack();
  const open = (url: string) => openJwks({ url: url + JWKS_PATH, log, cooldownMs: COOLDOWN_MS });
  const sets = await Promise.all(userUrls.map(async (url) => opened.use(await open(url))));
  const keys = {
    peek: (kid: string) => firstOf(sets, kid),
    find: async (kid: string) => firstOf(sets, kid) ?? (await askAll(sets, kid)),
  };
  const verifier = createVerifier({ issuer: ISSUER, audience: AUDIENCE, keys });
  const running = opened.move();
  return {
    door: requireScope(verifier, SCOPE, { log, realm: 'food' }),
    async isReady() {
      if (sets.every(({ size }) => size === 0)) await keys.find('').catch(() => {});
      return sets.some(({ size }) => size > 0);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function firstOf(sets: readonly Jwks[], kid: string) {
  for (const set of sets) {
    const key = set.peek(kid);
    if (key) return key;
  }
  return undefined;
}

/** They share one database: whoever answers answers for all. Only when none does, nobody knows. */
async function askAll(sets: readonly Jwks[], kid: string) {
  const answers = await Promise.allSettled(sets.map((set) => set.find(kid)));
  const found = answers.find((answer) => answer.status === 'fulfilled' && answer.value);
  if (found?.status === 'fulfilled') return found.value;
  if (answers.some(({ status }) => status === 'fulfilled')) return undefined;
  throw (answers[0] as PromiseRejectedResult).reason;
}

/** The customer's id, behind the door. */
export const customerOf = (response: Response): string => (response.locals.claims as Claims).sub;
