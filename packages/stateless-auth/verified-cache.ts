/**
 * Remembers tokens that have been verified: the signature of a token does not change, so once is enough. An ES256 verification
 * costs some hundred microseconds of CPU, a look into this cache one or two.
 *
 * The risk: whatever is in here counts as genuine. So a token comes in only after all checks, and is found again only by the SHA-256
 * digest of its signature together with every character that was signed. What can change is looked at again at each hit: the
 * time, and whether the issuer still publishes the key (revocation is the verifier's to ask, each time too). What was refused is
 * not remembered: strangers could fill the cache with it.
 *
 * Why not a digest of the whole token: most of the time of a hit is the digest's, and the signature is a sixth of the token. Why not
 * the token itself, which would be faster still: without its signature a token is worth nothing, so a dump of this memory is not a
 * list of tickets.
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
  /** Some 1.5 KB each. Beyond, the one that was not used for longest goes. */
  maxEntries: number;
  keys: Pick<KeySource, 'peek'>;
  leewaySeconds: number;
}

export function createVerifiedCache({ maxEntries, keys, leewaySeconds }: VerifiedCacheOptions): VerifiedCache {
  const entries = new LRUCache<string, Verified & { signed: string }>({ max: maxEntries });
  return {
    // #region hit
    get(token) {
      const { signed, digest } = split(token);
      const entry = entries.get(digest);
      if (entry?.signed !== signed) return undefined;
      const isExpired = Date.now() / 1_000 >= entry.claims.exp + leewaySeconds;
      const isWithdrawn = keys.peek(entry.kid) !== entry.key;
      if (!isExpired && !isWithdrawn) return entry.claims;
      entries.delete(digest);
      return undefined; // verified anew, it says why
    },
    // #endregion
    put(token, verified) {
      const { signed, digest } = split(token);
      // A copy: a slice of a string keeps the whole string alive, signature and all.
      entries.set(digest, { ...verified, signed: Buffer.from(signed).toString() });
    },
    get size() {
      return entries.size;
    },
  };
}

/** What was signed, header and payload, and the digest of the signature. */
function split(token: string): { signed: string; digest: string } {
  const dot = token.lastIndexOf('.');
  return { signed: token.slice(0, dot), digest: hash('sha256', token.slice(dot + 1), 'hex') };
}
