/**
 * What crosses the wire: two questions, asked again and again.
 *
 *     GET /api/updates?after=1795212000000-0        what has happened since?
 *     200  ETag: "1795212003000-0.2"  Retry-After: 2
 *          {"hasNew":true,"events":[{"id":"1795212003000-0","order":"7","status":"ready","version":3,"at":1795212003000}],
 *           "cursor":"1795212003000-0","hasMore":false}
 *
 *     GET /orders/7                                 how is this one?
 *     200  ETag: "3.2"  Retry-After: 2   {"id":"7","status":"ready","version":3,"at":1795212003000}
 *
 * A tag names what the client then knows (a place in the feed, or an order's version) and, behind the dot, the seconds that
 * it is asked to wait. Whoever sends the tag back in If-None-Match is answered 304: nothing new, and the same interval.
 */
import { isCursor } from '@patterns/feed/cursor';
import type { FeedEvent } from '@patterns/feed/feed';
import { HttpProblem } from '@patterns/kit/problem';

export const UPDATES_PATH = '/api/updates';
export const ORDERS_PATH = '/orders';

/** In the order in which they come. The last two end an order. */
export const STATUSES = ['placed', 'preparing', 'ready', 'on its way', 'delivered', 'cancelled'] as const;
export type Status = (typeof STATUSES)[number];

/** What the feed carries; its topic is the order. `version` counts the changes of one order, from 1. */
export interface Change {
  readonly status: Status;
  readonly version: number;
}

export interface Order extends Change {
  readonly id: string;
  /** When it came to this status: milliseconds since the epoch, by the feed's clock. */
  readonly at: number;
}

export interface Updates {
  readonly events: readonly FeedEvent<Change>[];
  /** To be sent as `after` next time. */
  readonly cursor: string;
  /** The page is full, and there is more behind it: ask again at once. */
  readonly hasMore: boolean;
}

/** Most events in one answer: some 100 KB, which nobody waits long for. */
export const MAX_LIMIT = 1_000;

/** Whether nothing more will come of an order: the moment to stop asking. */
export function isOver({ status }: Change): boolean {
  return status === 'delivered' || status === 'cancelled';
}

/** @throws {HttpProblem} 400 when a parameter is not what it should be. */
export function readQuery({ after, limit = String(MAX_LIMIT) }: Record<string, unknown>) {
  const malformed = (field: string, expected: string) =>
    new HttpProblem(400, { detail: `the parameter ${field} is malformed`, errors: [{ field, expected }] });
  if (after !== undefined && (typeof after !== 'string' || !isCursor(after))) {
    throw malformed('after', 'a cursor of an earlier answer, such as 1795212000000-0');
  }
  const count = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > MAX_LIMIT) throw malformed('limit', `an integer from 1 to ${MAX_LIMIT}`);
  return { after: after as string | undefined, limit: count };
}

/** One event as JSON. */
export function encodeEvent({ id, topic, at, data }: FeedEvent<Change>): string {
  return JSON.stringify({ id, order: topic, ...data, at });
}

/** The answer, from events that are encoded already. */
export function encodeUpdates(events: readonly string[], cursor: string, hasMore: boolean): string {
  return `{"hasNew":${events.length > 0},"events":[${events.join(',')}],"cursor":"${cursor}","hasMore":${hasMore}}`;
}

/** What a client understands of an answer. Fields that it does not know are no error: a server may learn. @throws {TypeError} */
export function decodeUpdates(body: string): Updates {
  const { events, cursor, hasMore } = JSON.parse(body) as Record<string, unknown>;
  if (!Array.isArray(events) || typeof cursor !== 'string' || !isCursor(cursor)) {
    throw new TypeError(`not an answer of ${UPDATES_PATH}`);
  }
  const decoded = events.map(({ id, order, at, ...change }: Record<string, unknown>) => {
    if (typeof id !== 'string' || !isCursor(id) || typeof order !== 'string' || typeof at !== 'number') {
      throw new TypeError('not an event');
    }
    return { id, topic: order, at, data: decodeChange(change) };
  });
  return { events: decoded, cursor, hasMore: hasMore === true };
}

/** @throws {TypeError} */
export function decodeOrder(body: string): Order {
  const { id, at, ...change } = JSON.parse(body) as Record<string, unknown>;
  if (typeof id !== 'string' || typeof at !== 'number') throw new TypeError('not an order');
  return { id, at, ...decodeChange(change) };
}

function decodeChange({ status, version }: Record<string, unknown>): Change {
  if (!STATUSES.includes(status as Status) || typeof version !== 'number') throw new TypeError('not a status');
  return { status: status as Status, version };
}
