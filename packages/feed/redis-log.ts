/**
 * The log in Redis: one Stream, read page by page, each with the proof that nothing before the page is missing.
 *
 * XREAD and XRANGE say nothing when entries after the cursor have been trimmed: they start at the oldest that is left. So
 * each is followed by XINFO STREAM on the same connection: what is retained then was retained when the page was read.
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

/** Appends and remembers the name in one step, so that of two processes with the same event only one appends it. */
const APPEND_ONCE = `
  local id = redis.call('GET', KEYS[2])
  if id then return id end
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '*', 'topic', ARGV[2], 'data', ARGV[3])
  redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
  return id
`;

/** Where to append, how many entries to keep, and how long to remember the name of one. */
export interface Log {
  key: string;
  retain: number;
  rememberMs: number;
}

/** Appends and trims in one command. Throws as `Feed.append` does. */
export async function appendEntry<T>(
  redis: Redis,
  { key, retain, rememberMs }: Log,
  { topic, data, once }: { topic: string; data: T; once: string | undefined },
) {
  const text = encodeData(data);
  const appended =
    once === undefined
      ? redis.xadd(key, 'MAXLEN', '=', retain, '*', 'topic', topic, 'data', text)
      : redis.eval(APPEND_ONCE, 2, key, `${key}:once:${once}`, retain, topic, text, rememberMs);
  const id = (await reached(appended)) as string | null;
  if (id === null) throw new FeedError('unavailable', 'Redis gave the event no id');
  return { id, topic, at: timeOf(id), data: decodeData<T>(text) } satisfies FeedEvent<T>;
}

/** The last id that the Stream gave; '0-0' when it gave none. Throws FeedError 'unavailable'. */
export async function lastId(redis: Redis, key: string): Promise<string> {
  const [info] = await answers(redis.pipeline().xinfo('STREAM', key).exec());
  return extentOf(info).last;
}

/** Reports entries that are not events. They are skipped: a feed must not end for all at something that will not change. */
export type OnCorrupt = (error: FeedError) => void;

/**
 * Up to PAGE_SIZE events after a cursor, or OLDEST. Throws FeedError 'cursor-expired', 'unavailable'.
 * A transaction, because an empty page goes on from `last`: no event may come between the two answers.
 */
export async function readPage<T>(redis: Redis, key: string, after: string, onCorrupt: OnCorrupt): Promise<Page<T>> {
  const start = after === OLDEST ? OLDEST : `(${after}`;
  const batch = redis.multi().xrange(key, start, '+', 'COUNT', PAGE_SIZE).xinfo('STREAM', key);
  const [entries, info] = await answers(batch.exec());
  const extent = extentOf(info);
  assertRetained(after, extent);
  return parsePage(entries as Entry[], extent.last, onCorrupt);
}

/** As readPage, but waits up to `blockMs` for an event; it keeps the connection busy for so long. */
export async function awaitPage<T>(
  redis: Redis,
  key: string,
  after: string,
  blockMs: number,
  onCorrupt: OnCorrupt,
): Promise<Page<T>> {
  const batch = redis.pipeline().xread('COUNT', PAGE_SIZE, 'BLOCK', blockMs, 'STREAMS', key, after);
  const [streams, info] = await answers(batch.xinfo('STREAM', key).exec());
  assertRetained(after, extentOf(info));
  const [[, entries] = [key, []]] = (streams ?? []) as [key: string, entries: Entry[]][];
  return parsePage(entries, after, onCorrupt);
}

function parsePage<T>(entries: Entry[], lastIfEmpty: string, onCorrupt: OnCorrupt): Page<T> {
  const events: FeedEvent<T>[] = [];
  for (const entry of entries) {
    try {
      events.push(parseEntry(entry));
    } catch (cause) {
      onCorrupt(new FeedError('entry-corrupt', `entry ${entry[0]} is not an event`, { cause }));
    }
  }
  return { events, last: entries.at(-1)?.[0] ?? lastIfEmpty };
}

/** `entries-added` counts every entry there ever was [XINFO STREAM, Redis 7.0]: what is not there any more was trimmed. */
function extentOf(info: unknown): Extent {
  if (!Array.isArray(info)) return { first: NOTHING_SEEN, last: NOTHING_SEEN, trimmed: false };
  const field = (name: string): unknown => info[info.indexOf(name) + 1];
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

/** The answers to a batch; undefined for a question about a Stream that does not exist (yet). */
async function answers(batch: Promise<[error: Error | null, answer: unknown][] | null>): Promise<unknown[]> {
  const replies = (await reached(batch)) ?? [];
  return replies.map(([error, answer]) => {
    if (!error) return answer;
    if (error.message === 'ERR no such key') return undefined;
    throw unavailable(error);
  });
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
