/**
 * What every browser has and most programs lack: answers that are kept, used again while they are fresh, and asked for with
 * their `ETag` when they are stale [RFC 9111 §4]. It is one viewer's and nobody else's, so that `private` and
 * `Vary: Authorization` need no looking at. An answer to a POST is not kept: that is what a GraphQL query by POST gives up.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';

interface Stored<Answer> {
  readonly answer: Answer;
  readonly etag: string | undefined;
  /** On the clock of `performance.now()`. */
  readonly freshUntil: number;
}

// #region cache
export class PrivateCache<Answer> {
  readonly #entries = new LRUCache<string, Stored<Answer>>({ max: 1_000 });

  /** What may be used without asking anybody. */
  fresh(url: URL): Answer | undefined {
    const stored = this.#entries.get(url.href);
    return stored && performance.now() < stored.freshUntil ? stored.answer : undefined;
  }

  /** What to ask with: `If-None-Match` [RFC 9110 §13.1.2]. */
  etag(url: URL): string | undefined {
    return this.#entries.get(url.href)?.etag;
  }

  /** A 304: what we have still holds, for as long as this answer says [RFC 9111 §4.3.4]. */
  renewed(url: URL, headers: IncomingHttpHeaders): Answer | undefined {
    const stored = this.#entries.get(url.href);
    if (stored) this.#entries.set(url.href, { ...stored, freshUntil: freshUntil(headers) });
    return stored?.answer;
  }

  /** Keeps a 200 that can be of use later; whatever else was kept for this URL is out of date. */
  store(url: URL, headers: IncomingHttpHeaders, answer: Answer): void {
    const stored = { answer, etag: headers.etag, freshUntil: freshUntil(headers) };
    const isOfUse = stored.etag !== undefined || stored.freshUntil > performance.now();
    if (isOfUse && !/\bno-store\b/.test(headers['cache-control'] ?? '')) this.#entries.set(url.href, stored);
    else this.#entries.delete(url.href);
  }

  remove(url: URL): void {
    this.#entries.delete(url.href);
  }
}
// #endregion

/** What has no `max-age`, or says `no-cache`, is stale at once. */
function freshUntil(headers: IncomingHttpHeaders): number {
  const directives = headers['cache-control'] ?? '';
  const seconds = /\bno-cache\b/.test(directives) ? 0 : Number(/\bmax-age=(\d+)/.exec(directives)?.[1] ?? 0);
  return performance.now() + (seconds - Number(headers.age ?? 0)) * 1_000;
}
