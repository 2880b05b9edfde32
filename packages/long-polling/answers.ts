/** How an answer is written: news, nothing, or a problem. */
import type { ServerResponse } from 'node:http';
import { FeedError } from '@patterns/feed/feed';
import { HttpProblem } from '@patterns/kit/problem';
import { CURSOR_HEADER } from './protocol.ts';
import type { Answer } from './questions.ts';

// An answer holds for one moment of one client: a cache that kept it would answer the next question with old news.
const NO_STORE = 'no-store';

export function sendAnswer(response: ServerResponse, { body, cursor }: Answer): void {
  const headers: Record<string, string | number> = {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': NO_STORE,
  };
  if (cursor !== undefined) headers[CURSOR_HEADER] = cursor;
  response.writeHead(200, headers).end(body);
}

/** 204: nothing yet. The cursor is the one that the client came with. */
export function sendNothing(response: ServerResponse, cursor: string | undefined): void {
  response
    .writeHead(204, { 'Cache-Control': NO_STORE, ...(cursor !== undefined && { [CURSOR_HEADER]: cursor }) })
    .end();
}

/** What the feed's refusals mean to a client. Anything else stays what it is. */
export function problemOf(error: unknown): unknown {
  if (!(error instanceof FeedError)) return error;
  const { code, oldest, cause } = error;
  if (code === 'cursor-expired') {
    const from = oldest ? `; the oldest that is left is ${oldest}` : '';
    return new HttpProblem(410, { detail: `your cursor has expired: updates after it are lost to you${from}`, cause });
  }
  if (code !== 'unavailable' && code !== 'closed') return error;
  return new HttpProblem(503, { detail: 'the feed does not answer', headers: { 'Retry-After': '1' }, cause });
}
