/**
 * The issuer's public keys, as a resource server knows them: fetched in the background, so that no request waits for them, and kept when
 * the issuer cannot be reached (stale-if-error). Only a token that names an unknown key makes a request wait, since its key may
 * have just been made; the cool-down keeps a flood of invented names from becoming a flood of requests to the issuer.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { repeat } from '@patterns/kit/background';
import type { Log } from '@patterns/kit/log';
import { askIssuer } from './ask-issuer.ts';
import { ALGORITHM, AuthError, isRecord } from './protocol.ts';
import type { KeySource } from './verifier.ts';

export interface JwksOptions {
  /** Where the keys are, from our own configuration: never from a token. */
  url: string;
  log: Log;
  /** How often they are fetched: after this long, a key that was withdrawn is refused. */
  maxAgeMs?: number;
  /** Between two fetches for the sake of unknown keys. 30 s: in an emergency rotation, new tokens wait for that long at most. */
  cooldownMs?: number;
  /** An issuer that is slower is away. */
  timeoutMs?: number;
  /** How old they may become while the issuer is away. One day: by then somebody has seen to it. */
  maxStaleMs?: number;
}

export interface Jwks extends KeySource, AsyncDisposable {
  readonly size: number;
  /** Since they were last fetched; Infinity when they never were. */
  readonly ageMs: number;
}

/** Some 250 bytes each: room for a hundred, where two or three are usual. */
const MAX_BYTES = 32 * 1024;

/** Opens the set and fetches it. Resolves without keys when the issuer is away: then each look for a key asks again, cool-down permitting. */
export async function openJwks({
  url,
  log,
  maxAgeMs = 300_000,
  cooldownMs = 30_000,
  timeoutMs = 3_000,
  maxStaleMs = 24 * 3_600_000,
}: JwksOptions): Promise<Jwks> {
  const closing = new AbortController();
  let keys: ReadonlyMap<string, KeyObject> = new Map();
  let isAway = false;
  let askedAt = Number.NEGATIVE_INFINITY;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let underway: Promise<void> | undefined;

  // #region refresh
  /** However many want it at once, there is one request. */
  function refresh(): Promise<void> {
    underway ??= fetchKeys().finally(() => {
      underway = undefined;
    });
    return underway;
  }

  async function fetchKeys(): Promise<void> {
    askedAt = performance.now();
    try {
      const answer = await askIssuer(url, { timeoutMs, maxBytes: MAX_BYTES, signal: closing.signal });
      keys = readKeys(answer?.body, keys);
      fetchedAt = performance.now();
      isAway = false;
    } catch (error) {
      isAway = true; // and we go on with what we have
      // At the start it may just be slower than we are: that there are no keys yet is what /ready says.
      const level = keys.size > 0 ? 'warn' : 'info';
      if (!closing.signal.aborted) log.log(level, 'keys not fetched', { error, kept: keys.size });
    }
  }

  const peek = (kid: string) => (performance.now() - fetchedAt < maxStaleMs ? keys.get(kid) : undefined);

  async function find(kid: string): Promise<KeyObject | undefined> {
    const known = peek(kid);
    if (known) return known;
    if (underway || performance.now() - askedAt >= cooldownMs) await refresh();
    const found = peek(kid);
    if (!found && isAway) throw new AuthError('unavailable', 'the keys of the issuer cannot be fetched');
    return found;
  }
  // #endregion

  await refresh();
  const background = repeat(maxAgeMs, refresh, log);
  return {
    peek,
    find,
    get size() {
      return keys.size;
    },
    get ageMs() {
      return performance.now() - fetchedAt;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await background[Symbol.asyncDispose]();
    },
  };
}

/**
 * Reads a JWK Set [RFC 7517 §5]. A key that we have no use for is passed over: the issuer may have others, for others.
 * A key that is in `known` stays the same object: the cache of verified tokens tells by it that nothing has changed.
 * @throws {TypeError} when it is no set, or has no key for us: rather the old ones than none.
 */
function readKeys(body: unknown, known: ReadonlyMap<string, KeyObject>): ReadonlyMap<string, KeyObject> {
  if (!isRecord(body) || !Array.isArray(body.keys)) throw new TypeError('not a JWK Set');
  const keys = new Map<string, KeyObject>();
  for (const jwk of body.keys as unknown[]) {
    const key = readKey(jwk);
    if (!key) continue;
    const { kid } = jwk as { kid: string };
    const old = known.get(kid);
    keys.set(kid, old?.equals(key) ? old : key);
  }
  if (keys.size === 0) throw new TypeError(`no key for ${ALGORITHM}`);
  return keys;
}

/** A key for signatures on the curve P-256, with a name. Nothing else that the JWK says is looked at. */
function readKey(jwk: unknown): KeyObject | undefined {
  if (!isRecord(jwk)) return undefined;
  const { kty, crv, x, y, kid, use = 'sig', alg = ALGORITHM } = jwk;
  if (kty !== 'EC' || crv !== 'P-256' || use !== 'sig' || alg !== ALGORITHM) return undefined;
  if (typeof kid !== 'string' || typeof x !== 'string' || typeof y !== 'string') return undefined;
  try {
    return createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
  } catch {
    return undefined; // not a point of the curve
  }
}
