/**
 * Remembers tokens that have been verified: the signature of a token does not change, so once is enough. An ES256 verification
 * costs some hundred microseconds of CPU, a look into this cache one or two.
 *
 * The risk: whatever is in here counts as genuine. So a token comes in only after all checks; its key here is a SHA-256 digest
 * of all of it, so that nobody can make another token that is found in its place; and what can change is looked at again at each
 * hit: the time, and whether the issuer still publishes the key (revocation is the verifier's to ask, each time too). What was
 * refused is not remembered: it would let strangers fill the cache. The digest is not the cheapest key: the token itself would be,
 * but then a dump of the memory would be a list of valid tokens.
 */
import { hash, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Claims } from './protocol.ts';
import type { KeySource } from './verifier.ts';

export interface Verified {
  readonly claims: Claims;
  readonly kid: string;
  /** The very key that it was verified with. */
  readonly key: KeyObject;
}

export interface VerifiedCache {
  get(token: string): Claims | undefined;
  put(token: string, verified: Verified): void;
  readonly size: number;
}

export interface VerifiedCacheOptions {
  /** Some 800 bytes each. Beyond, the one that was not used for longest goes. */
  maxEntries: number;
  keys: Pick<KeySource, 'peek'>;
  leewaySeconds: number;
}

export function createVerifiedCache({ maxEntries, keys, leewaySeconds }: VerifiedCacheOptions): VerifiedCache {
  const entries = new LRUCache<string, Verified>({ max: maxEntries });
  return {
    // #region hit
    get(token) {
      const digest = hash('sha256', token, 'hex');
      const entry = entries.get(digest);
      if (!entry) return undefined;
      const isExpired = Date.now() / 1_000 >= entry.claims.exp + leewaySeconds;
      const isWithdrawn = keys.peek(entry.kid) !== entry.key;
      if (!isExpired && !isWithdrawn) return entry.claims;
      entries.delete(digest);
      return undefined; // verified anew, it says why
    },
    // #endregion
    put(token, verified) {
      entries.set(hash('sha256', token, 'hex'), verified);
    },
    get size() {
      return entries.size;
    },
  };
}
