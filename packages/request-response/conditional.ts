/**
 * Conditional requests: who has the current version already is told so, in a hundred bytes [RFC 9110 §13].
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Representation } from './menu.ts';

/** Answers a GET or HEAD with the representation, or with 304 when the client has it. */
export function sendRepresentation(
  request: IncomingMessage,
  response: ServerResponse,
  { etag, headers, body }: Representation,
): void {
  if (isCurrent(request.headers['if-none-match'], etag)) {
    // The headers that a cache needs to go on using what it has, and none about the body [RFC 9110 §15.4.5].
    response.writeHead(304, { ETag: etag, 'Cache-Control': headers['Cache-Control'] }).end();
  } else {
    response.writeHead(200, headers).end(body);
  }
}

// #region if-none-match
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
// #endregion
