/**
 * A channel's log: a Redis Stream whose entries are numbered 1, 2, 3, … without a hole.
 *
 * A Stream's ids are times as a rule, and then nobody can tell whether anything stood between two of them. Here the first half is
 * always 0 and Redis counts the second half [XADD, `0-*`, Redis 7.0]. So a reader that knows the last number it has read can prove
 * that it has missed nothing: what comes next must be the next number, and else the log was trimmed, or is another one.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { PubSubError } from './protocol.ts';
import { unavailable } from './redis-connection.ts';

/** Some 200 KB of small messages: makes round trips cheap, and holds up neither Redis nor the event loop. */
export const PAGE_SIZE = 500;

/** Redis may refuse at once, every time: the pause keeps that from spinning. */
const RETRY_MS = 100;

export interface LogEntry {
  readonly seq: number;
  readonly text: string;
}

/** As Redis answers: an id, and fields and values in turn; null when the entry has been trimmed meanwhile. */
export type RawEntry = [id: string, fields: string[] | null];

/** The name of the channel's log. In a cluster the braces keep it on one node with what else belongs to the channel. */
export const logKey = (prefix: string, channel: string) => `${prefix}{${channel}}:log`;

// #region position
/** The number as an id of the Stream, which is what readers hold as their cursor. */
export const positionOf = (seq: number) => `0-${seq}`;

/** @throws {PubSubError} `cursor-malformed`. */
export function seqOf(position: string): number {
  if (/^0-(0|[1-9]\d{0,14})$/.test(position)) return Number(position.slice(2));
  throw new PubSubError('cursor-malformed', `not a cursor: ${JSON.stringify(position.slice(0, 50))}, but like 0-42`);
}
// #endregion

/** The number of the last entry that was ever appended; 0 when none was. @throws {PubSubError} `unavailable`. */
export async function headOf(redis: Redis, key: string): Promise<number> {
  const [answer] = (await reached(redis.pipeline().xinfo('STREAM', key).exec())) ?? [];
  const [error, info] = answer ?? [];
  if (error && error.message !== 'ERR no such key') throw unavailable(error);
  return headIn(info);
}

/** The number before that of the oldest entry that is kept. @throws {PubSubError} `unavailable`. */
export async function beforeOldest(redis: Redis, key: string): Promise<number> {
  const [oldest] = await reached(redis.xrange(key, '-', '+', 'COUNT', 1));
  return oldest ? seqOf(oldest[0]) - 1 : await headOf(redis, key);
}

// #region read
/**
 * Up to PAGE_SIZE entries after `seq`, at once. Empty only if there is nothing after it.
 * @throws {PubSubError} `cursor-expired` when some of them are gone, `unavailable`.
 */
export async function readPage(redis: Redis, key: string, seq: number): Promise<LogEntry[]> {
  // One step: what is appended between the two would make an empty page look like a trimmed one.
  const batch = redis
    .multi()
    .xrange(key, `(${positionOf(seq)}`, '+', 'COUNT', PAGE_SIZE)
    .xinfo('STREAM', key);
  const [range, info] = (await reached(batch.exec())) ?? [];
  const entries = parseEntries((range?.[1] ?? []) as RawEntry[]);
  const head = headIn(info?.[1]);
  if (entries.length > 0 ? entries[0]!.seq !== seq + 1 : head !== seq) throw expired(seq, entries[0]?.seq, head);
  return entries;
}
// #endregion

/** As readPage, but waits up to `blockMs` for the first one. Empty then proves nothing: the log may be another one by now. */
export async function awaitPage(redis: Redis, key: string, seq: number, blockMs: number): Promise<LogEntry[]> {
  const answer = await reached(redis.xread('COUNT', PAGE_SIZE, 'BLOCK', blockMs, 'STREAMS', key, positionOf(seq)));
  const entries = parseEntries((answer?.[0]?.[1] ?? []) as RawEntry[]);
  if (entries.length > 0 && entries[0]!.seq !== seq + 1) throw expired(seq, entries[0]!.seq, entries.at(-1)!.seq);
  return entries;
}

/**
 * Calls `handle` with each entry after `seq`, and with each that comes, until the signal aborts; outlives its connection.
 * The next page is asked for when this one has been handled, so Redis keeps one answer for a slow reader, and no more.
 * @throws {PubSubError} `cursor-expired`.
 */
export async function followLog(
  redis: Redis,
  key: string,
  { seq, blockMs, signal, onProblem }: FollowOptions,
  handle: (entry: LogEntry) => void | Promise<void>,
): Promise<void> {
  let last = seq;
  // A wait in vain, or a broken line: look before waiting again. A Redis that came back empty would wake nobody.
  let look = false;
  while (!signal.aborted) {
    try {
      const entries: LogEntry[] = look ? await readPage(redis, key, last) : await awaitPage(redis, key, last, blockMs);
      look = !look && entries.length === 0;
      for (const entry of entries) {
        if (signal.aborted) return;
        await handle(entry);
        last = entry.seq;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof PubSubError) || error.code !== 'unavailable') throw error;
      onProblem(error);
      look = true;
      await pause(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }
}

export interface FollowOptions {
  seq: number;
  blockMs: number;
  signal: AbortSignal;
  onProblem: (problem: PubSubError) => void;
}

export function parseEntries(entries: readonly RawEntry[]): LogEntry[] {
  return entries.map(([id, fields]) => ({ seq: seqOf(id), text: fields?.[1] ?? '' }));
}

async function reached<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw unavailable(error);
  }
}

function headIn(info: unknown): number {
  if (!Array.isArray(info)) return 0;
  return seqOf(String(info[info.indexOf('last-generated-id') + 1]));
}

function expired(seq: number, oldest: number | undefined, head: number): PubSubError {
  if (head < seq)
    return new PubSubError('cursor-expired', `${positionOf(seq)} is of another log: this one ends at ${head}`);
  const from = seq + 1;
  const to = (oldest ?? head + 1) - 1;
  return new PubSubError('cursor-expired', `messages ${from} to ${to} are no longer kept`);
}
