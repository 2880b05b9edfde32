/**
 * What crosses the wire: `GET /stock-updates`, answered by a stream of events that does not end by itself [HTML §9.2].
 *
 *     retry: 2140                                     how long to wait before reconnecting
 *
 *     id: 1795212000000-0                             the cursor: the client sends it back as Last-Event-ID
 *     event: price
 *     data: {"symbol":"ACME","price":101.32,"n":7,"at":1795212000000}
 *
 *     :                                               a comment: the heartbeat
 *
 * Two more event types: `reset` (what the cursor points at is no longer kept: some prices are lost to you, here is the oldest
 * that is left) and `closed` (the market is closed; whoever asks again is answered 204).
 */
import type { IncomingMessage } from 'node:http';
import { isCursor } from '@patterns/feed/cursor';
import type { FeedEvent } from '@patterns/feed/feed';
import { HttpProblem } from '@patterns/kit/problem';

export const PATH = '/stock-updates';

/** What the feed carries. Its topic is the symbol, and `MARKET` for what concerns all of them. */
export type Quote =
  | { readonly type: 'price'; readonly price: number /** Counts the exchange's prices. */; readonly n: number }
  | { readonly type: 'closed' };

export const MARKET = 'market';

// `no-transform` keeps compressing middleboxes away, `X-Accel-Buffering` makes nginx pass each event on at once.
export const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
  Connection: 'close', // the end of the connection is the end of the body (server.ts)
} as const;

export const HEARTBEAT = ':\n\n';

// #region encode
/** One event as text. Whatever the values hold, they can neither end a line nor start a field of their own. */
export function encode({ id, event, data }: { id?: string; event: string; data: string }): string {
  let text = '';
  // A client ignores an id with a NULL character, and its cursor would stand still [HTML §9.2.6].
  if (id !== undefined) text += `id: ${oneLine(id).replaceAll('\0', '')}\n`;
  text += `event: ${oneLine(event)}\n`;
  // CR, LF and CRLF each end a line [HTML §9.2.5]: every line of the data gets a field of its own.
  for (const line of data.split(/\r\n|\r|\n/)) text += `data: ${line}\n`;
  return `${text}\n`;
}

const oneLine = (text: string) => text.replaceAll(/[\r\n]/g, '');
// #endregion

/** A feed event as it goes out. */
export function encodeQuote({ id, topic, at, data }: FeedEvent<Quote>): string {
  const { type, ...fields } = data;
  return encode({ id, event: type, data: JSON.stringify({ symbol: topic, ...fields, at }) });
}

/** An empty id clears the client's cursor, so that it does not come back with the one that has expired. */
export function encodeReset(detail: string): string {
  return encode({ id: '', event: 'reset', data: JSON.stringify({ detail }) });
}

export function encodeRetry(milliseconds: number): string {
  return `retry: ${Math.round(milliseconds)}\n\n`;
}

/** What a client understands of a message. Event types and fields that it does not know are no error: a server may learn. */
export function decodeQuote(message: {
  id?: string | undefined;
  event?: string | undefined;
  data: string;
}): FeedEvent<Quote> {
  const { symbol, at, price, n } = JSON.parse(message.data) as Record<string, unknown>;
  const id = message.id ?? '';
  if (!isCursor(id) || typeof symbol !== 'string' || typeof at !== 'number')
    throw new TypeError(`not an event of ${PATH}`);
  if (message.event === 'closed') return { id, topic: symbol, at, data: { type: 'closed' } };
  if (typeof price !== 'number' || typeof n !== 'number')
    throw new TypeError(`not a price: ${message.data.slice(0, 80)}`);
  return { id, topic: symbol, at, data: { type: 'price', price, n } };
}

// #region cursor
/**
 * Where the client wants to go on. The header wins over `?after=`: a browser repeats its URL unchanged on every reconnect, so
 * the query holds where it once began, and the header where it is now.
 *
 * @throws {HttpProblem} 400 when it is not a cursor.
 */
export function readCursor(lastEventId: string | string[] | undefined, url: string | undefined): string | undefined {
  const [field, cursor] = lastEventId ? ['Last-Event-ID', lastEventId] : ['after', parameters(url).get('after')];
  if (!cursor) return undefined;
  if (typeof cursor === 'string' && isCursor(cursor)) return cursor;
  throw new HttpProblem(400, {
    detail: 'the cursor is malformed',
    errors: [{ field, expected: 'the id of an event of this stream, such as 1795212000000-0' }],
  });
}
// #endregion

/** Whether a request asks for the stream. */
export function isStreamRequest({ method, url }: IncomingMessage): boolean {
  return method === 'GET' && url?.split('?', 1)[0] === PATH;
}

const parameters = (url = '') => new URLSearchParams(url.split('?')[1]);
