/**
 * Conditional requests: whoever has the current version already is told so, and pays for no more than that [RFC 9110 §13].
 * Most polls find nothing new, so the size of this answer is what the pattern costs.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Representation {
  /** Quoted; made from a version, so that a 304 costs no body. */
  readonly etag: string;
  /** Seconds, as a client should wait before it asks again; 0: as it likes. */
  readonly intervalS: number;
  /** Called only when the body is needed. */
  readonly body: () => string;
}

/** `no-cache`: kept, and asked about each time. Never `max-age`, which would hide what is new [RFC 9111 §5.2.2]. */
const CACHE_CONTROL = 'private, no-cache';

// #region answer
/** Answers a GET or HEAD with 200, or with 304 when the client knows it all. */
export function sendRepresentation(
  request: IncomingMessage,
  response: ServerResponse,
  { etag, intervalS, body }: Representation,
): void {
  if (isCurrent(request.headers['if-none-match'], etag)) {
    // Under 120 bytes: ETag, Cache-Control and Date, which the specification demands [RFC 9110 §15.4.5, §6.6.1], and no more.
    // The phrase behind the status is for nobody [RFC 9112 §4], and HTTP/1.1 keeps a connection open without being told.
    if (request.httpVersion === '1.1' && !response.hasHeader('Connection')) response.removeHeader('Connection');
    response.writeHead(304, '', { ETag: etag, 'Cache-Control': CACHE_CONTROL }).end();
    return;
  }
  const text = body();
  response
    .writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
      'Cache-Control': CACHE_CONTROL,
      ETag: etag,
      ...(intervalS > 0 && { 'Retry-After': intervalS }),
    })
    .end(text);
}
// #endregion

/**
 * Whether a field `If-None-Match` names this version: `*`, or a list with a tag that matches it [RFC 9110 §13.1.2]. The
 * comparison is the weak one [§8.8.3.2]: a proxy that compressed the body made the tag weak, `W/"..."`, and it is still ours.
 */
export function isCurrent(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  // Not split at commas: a tag may have one between its quotes.
  return [...ifNoneMatch.matchAll(/(?:W\/)?("[^"]*")/g)].some(([, opaque]) => opaque === etag);
}
