/**
 * The one blocking reader of a process: hands what is appended to all its followers, and outlives its connection.
 *
 * After a lost line it goes on from the last event dispatched. If more was trimmed meanwhile than it had read, or Redis came
 * back without its data, every follower ends with 'cursor-expired': a gap is never passed over. It ends with its signal.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { FeedError } from './feed.ts';
import type { Followers } from './followers.ts';
import { awaitPage, lastId } from './redis-log.ts';

/** Redis may answer at once, with an error, every time: the pause keeps that from spinning. */
const RETRY_MS = 100;

/** After an error it looks before it waits: a Redis that came back empty would wake nobody. (0 would mean for ever.) */
const LOOK_MS = 1;

export interface ReaderOptions<T> {
  /** A connection of the reader's own: it is blocked nearly all the time. */
  redis: Redis;
  key: string;
  followers: Followers<T>;
  /** How long one XREAD blocks. */
  blockMs: number;
  onError: (error: Error) => void;
  signal: AbortSignal;
}

/** Dispatches from `followers.head` on; resolves when the signal has aborted and the connection is closed. */
export async function keepReading<T>(options: ReaderOptions<T>): Promise<void> {
  const { redis, key, followers, blockMs, onError, signal } = options;
  let waitMs = blockMs;
  while (!signal.aborted) {
    try {
      followers.dispatch(await awaitPage(redis, key, followers.head, waitMs, onError));
      waitMs = blockMs;
    } catch (error) {
      if (signal.aborted) return;
      waitMs = LOOK_MS;
      onError(error as Error);
      if (error instanceof FeedError && error.code === 'cursor-expired') await startAnew(options, error);
      await pause(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }
}

/** If Redis is lost again just now, the next round comes here again. */
async function startAnew<T>({ redis, key, followers }: ReaderOptions<T>, error: FeedError): Promise<void> {
  const head = await lastId(redis, key).catch(() => undefined);
  if (head === undefined) return;
  // In one step: whoever begins to follow after it is not ended, and is measured against the new head.
  followers.endAll(error);
  followers.startAt(head);
}
