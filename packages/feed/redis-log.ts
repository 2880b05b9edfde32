/**
 * The log in Redis: one Stream, read one page at a time together with the proof that nothing before the page is missing.
 *
 * XREAD and XRANGE say nothing when entries after the cursor have been trimmed: they start at the oldest that is left. So a
 * page is always read in one transaction with XINFO STREAM, which tells what the Stream still holds.
 */
import type { Redis } from 'ioredis';
import { assertRetained, type Extent, timeOf } from './cursor.ts';
import { decodeData, encodeData } from './encoding.ts';
import { FeedError, type FeedEvent, NOTHING_SEEN, OLDEST } from './feed.ts';
import type { Page } from './followers.ts';

/** Some 200 kB of small events: big enough to make round trips cheap, small enough not to hold up Redis or the event loop. */
export const PAGE_SIZE = 1_000;

/** An entry as Redis returns it: its id, and fields and values in turn. */
type Entry = [id: string, fields: string[]];

/** Appends and trims in one command. Throws as `Feed.append` does. */
export async function appendEntry<T>(redis: Redis, key: string, retain: number, topic: string, data: T) {
  const text = encodeData(data);
  const id = await reached(redis.xadd(key, 'MAXLEN', '=', retain, '*', 'topic', topic, 'data', text));
  if (id === null) throw new FeedError('unavailable', 'Redis gave the event no id');
  return { id, topic, at: timeOf(id), data: decodeData<T>(text) } satisfies FeedEvent<T>;
}

/** The last id that the Stream gave; '0-0' when it gave none. */
export async function lastId(redis: Redis, key: string): Promise<string> {
  const [info] = await transaction(redis, key, OLDEST, 1);
  return info.last;
}

/** Up to PAGE_SIZE events after a cursor. Throws FeedError 'cursor-expired', 'unavailable'. Corrupt entries are reported and skipped. */
export async function readPage<T>(
  redis: Redis,
  key: string,
  after: string,
  onCorrupt: (error: FeedError) => void,
): Promise<Page<T>> {
  const [extent, entries] = await transaction(redis, key, after, PAGE_SIZE);
  assertRetained(after, extent);
  const events: FeedEvent<T>[] = [];
  for (const entry of entries) {
    try {
      events.push(parseEntry(entry));
    } catch (cause) {
      onCorrupt(new FeedError('entry-corrupt', `entry ${entry[0]} of ${key} is not an event`, { cause }));
    }
  }
  return { events, last: entries.at(-1)?.[0] ?? extent.last };
}

async function transaction(redis: Redis, key: string, after: string, count: number): Promise<[Extent, Entry[]]> {
  const start = after === OLDEST ? OLDEST : `(${after}`;
  const replies = await reached(redis.multi().xinfo('STREAM', key).xrange(key, start, '+', 'COUNT', count).exec());
  const [[infoError, info], [rangeError, entries]] = replies as [[Error | null, unknown[]], [Error | null, Entry[]]];
  if (rangeError) throw unavailable(rangeError);
  if (!infoError) return [extentOf(info), entries];
  if (infoError.message.includes('no such key')) return [extentOf([]), entries];
  throw unavailable(infoError);
}

/** `entries-added` counts every entry there ever was [XINFO STREAM, Redis 7.0]: what is not there any more was trimmed. */
function extentOf(info: unknown[]): Extent {
  const field = (name: string) => info[info.indexOf(name) + 1];
  if (info.length === 0) return { first: NOTHING_SEEN, last: NOTHING_SEEN, trimmed: false };
  const last = String(field('last-generated-id'));
  const empty = field('length') === 0;
  const first = empty ? last : String(field('recorded-first-entry-id'));
  return { first, last, trimmed: field('entries-added') !== field('length') };
}

function parseEntry<T>([id, [topicName, topic, dataName, data]]: Entry): FeedEvent<T> {
  if (topicName !== 'topic' || topic === undefined || dataName !== 'data' || data === undefined) {
    throw new TypeError('expected the fields topic and data');
  }
  return { id, topic, at: timeOf(id), data: decodeData<T>(data) };
}

async function reached<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw unavailable(error);
  }
}

function unavailable(cause: unknown): FeedError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FeedError('unavailable', `Redis did not answer as expected: ${reason}`, { cause });
}
