/**
 * Who fills the inbox: somebody who sends a message now and then. It knows no server and no client.
 * Ends when it has sent `count` messages.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { envInteger, envUrl } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import type { Notice } from './protocol.ts';
import { makeReports } from './worker.ts';

/** Sends `count` messages, one every `everyMs`. Stops early when `signal` aborts. */
export async function sendMessages(
  feed: Feed<Notice>,
  { everyMs, count, signal }: { everyMs: number; count: number; signal: AbortSignal },
): Promise<void> {
  for (let n = 1; n <= count; n++) {
    await delay(everyMs, undefined, { signal });
    await feed.append('messages', { type: 'message', text: `message ${n}`, n });
  }
}

/** The feed that all processes of this inbox share, by REDIS_URL and FEED_KEY. */
export function openFeed(stack: AsyncDisposableStack): Feed<Notice> {
  const url = envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'it says which Redis holds the feed' });
  return stack.use(new RedisFeed<Notice>({ url, key: process.env.FEED_KEY ?? 'patterns:long-polling:feed' }));
}

/** What a server run by hand serves: the feed in Redis, or, without REDIS_URL, one in memory with a sender and a worker. */
export function openInbox(stack: AsyncDisposableStack, signal: AbortSignal): Feed<Notice> {
  if (process.env.REDIS_URL) return openFeed(stack);
  const feed = stack.use(new MemoryFeed<Notice>());
  const untilStopped = (work: Promise<void>) => work.catch((error) => signal.aborted || console.error(error));
  void untilStopped(sendMessages(feed, { everyMs: 3_000, count: Number.POSITIVE_INFINITY, signal }));
  void untilStopped(makeReports(feed, { makingMs: 2_000, signal }));
  return feed;
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const feed = openFeed(stack);
    await sendMessages(feed, {
      everyMs: envInteger('EVERY_MS', 3_000, { min: 1 }),
      count: envInteger('COUNT', Number.MAX_SAFE_INTEGER, { min: 1 }),
      signal,
    });
    await stack.disposeAsync();
  });
}
