/**
 * What all processes of the room share: the feed, and the store of sessions and tickets. Run as a program it is the caretaker,
 * who puts up notices and knows no server and no client. It ends when `count` notices are up.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { envInteger, envUrl } from '@patterns/kit/env';
import { createLog, type Log } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { type ChatData, NOTICES } from './protocol.ts';
import { type ExpiringStore, MemoryStore, RedisStore } from './store.ts';

/** Appends `count` notices, one every `everyMs`. Stops early when `signal` aborts. */
export async function announce(
  feed: Feed<ChatData>,
  { everyMs, count, signal }: { everyMs: number; count: number; signal: AbortSignal },
): Promise<void> {
  for (let n = 1; n <= count; n++) {
    await delay(everyMs, undefined, { signal });
    await feed.append(NOTICES, { type: 'notice', text: `notice #${n}` });
  }
}

export interface Room {
  feed: Feed<ChatData>;
  store: ExpiringStore;
}

/** What all processes of this room share, by REDIS_URL and FEED_KEY. */
function joinRoom(stack: AsyncDisposableStack, log: Log): Room {
  const url = envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'it says which Redis holds the room' });
  const key = process.env.FEED_KEY ?? 'patterns:websocket-push:feed';
  const onError = (error: Error) => log.warn('Redis', { error });
  return {
    feed: stack.use(new RedisFeed<ChatData>({ url, key, onError })),
    store: stack.use(new RedisStore(url, { prefix: `${key}:`, onError })),
  };
}

/** What a server run by hand serves: the room in Redis, or, without REDIS_URL, one in memory with notices of its own. */
export function openRoom(stack: AsyncDisposableStack, signal: AbortSignal, log: Log): Room {
  if (process.env.REDIS_URL) return joinRoom(stack, log);
  const feed = stack.use(new MemoryFeed<ChatData>());
  announce(feed, { everyMs: 10_000, count: Number.POSITIVE_INFINITY, signal }).catch(() => {}); // aborted: the process ends
  return { feed, store: new MemoryStore() };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const { feed } = joinRoom(stack, createLog('caretaker'));
    await announce(feed, {
      everyMs: envInteger('EVERY_MS', 1_000, { min: 1 }),
      count: envInteger('COUNT', Number.MAX_SAFE_INTEGER, { min: 1 }),
      signal,
    });
    await stack.disposeAsync();
  });
}
