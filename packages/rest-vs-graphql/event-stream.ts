/** An event stream's text [HTML §9.2], and what its head says. */
import type { ServerResponse } from 'node:http';
import type { ExecutionResult } from 'graphql';

// `no-transform` keeps compressing middleboxes away, `X-Accel-Buffering` makes nginx pass each event on at once.
export const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
} as const;

/** A comment: keeps proxies from cutting a silent connection, and finds out whether anybody is there. */
export const HEARTBEAT = ':\n\n';

/** Without an empty `data` no client would hear of it [HTML §9.2.6]. */
export const COMPLETE = 'event: complete\ndata:\n\n';

/** JSON has no line breaks outside of its strings, and none inside: it is one line, whatever the values are. */
export function encodeNext(result: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: next\ndata: ${JSON.stringify(result)}\n\n`;
}

/** Sets the client's cursor, and is no event [HTML §9.2.6]: whoever is cut off before the first event misses nothing either. */
export const encodeId = (id: string) => `id: ${id}\n\n`;

export const encodeRetry = (ms: number) => `retry: ${Math.round(ms)}\n\n`;

/** Answers with one result, and the end. */
export function sendRefusal(response: ServerResponse, result: ExecutionResult): void {
  response.writeHead(200, STREAM_HEADERS).end(encodeNext(result) + COMPLETE);
}
