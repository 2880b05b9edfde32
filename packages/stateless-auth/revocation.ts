/**
 * The deny-list, as a resource server knows it: which tokens are no longer good although they have not expired.
 *
 * This is the state that tokens were to do without, and it has its price: a request to the issuer each `pollMs` from every server,
 * and a token that was revoked is still taken for up to that long. It stays small: a token is on it until it would
 * have expired anyway. Without it nothing is asked, and a revoked token is good until it expires.
 */
import { repeat } from '@patterns/kit/background';
import type { Log } from '@patterns/kit/log';
import { askIssuer } from './ask-issuer.ts';
import { AuthError, readRevoked } from './protocol.ts';

export interface DenyListOptions {
  url: string;
  log: Log;
  /** How long a revocation takes at most to get here. 5 s: as long as a person takes to wonder. */
  pollMs?: number;
  timeoutMs?: number;
  /** From how old on the list counts as stale: twelve polls that failed. */
  maxStaleMs?: number;
  /** Then: `accept` goes on with what is known, so that no server falls with the issuer, and what was revoked meanwhile is good
   *  until it expires. `refuse` takes no token at all. */
  whenStale?: 'accept' | 'refuse';
}

export interface DenyList extends AsyncDisposable {
  /** @throws {AuthError} `unavailable` when the list is stale and `whenStale` is `refuse`. */
  isRevoked(jti: string): boolean;
  readonly size: number;
  readonly ageMs: number;
}

/** Some 40 bytes each: room for 25,000. */
const MAX_BYTES = 1024 * 1024;

/** Opens the list and fetches it. Resolves with an empty, stale one when the issuer is away. */
export async function openDenyList({
  url,
  log,
  pollMs = 5_000,
  timeoutMs = 3_000,
  maxStaleMs = 60_000,
  whenStale = 'accept',
}: DenyListOptions): Promise<DenyList> {
  const closing = new AbortController();
  let denied: ReadonlySet<string> = new Set();
  let etag: string | undefined;
  let fetchedAt = Number.NEGATIVE_INFINITY;

  // #region poll
  async function poll(): Promise<void> {
    try {
      const answer = await askIssuer(url, { timeoutMs, maxBytes: MAX_BYTES, signal: closing.signal, etag });
      if (answer) {
        denied = new Set(readRevoked(answer.body));
        etag = answer.etag;
      }
      fetchedAt = performance.now();
    } catch (error) {
      if (!closing.signal.aborted) log.warn('deny-list not fetched', { error, kept: denied.size });
    }
  }
  // #endregion

  await poll();
  const background = repeat(pollMs, poll, log);
  return {
    isRevoked(jti) {
      if (whenStale === 'refuse' && performance.now() - fetchedAt >= maxStaleMs)
        throw new AuthError('unavailable', 'the deny-list is too old');
      return denied.has(jti);
    },
    get size() {
      return denied.size;
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
