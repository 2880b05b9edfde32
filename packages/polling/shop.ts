/**
 * Where the orders come from: a made-up shop that appends to the feed each step of each order, until it is delivered. It
 * knows no server and no client. Ends when it has made `count` changes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { envInteger, envUrl } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { type Change, isOver, STATUSES } from './protocol.ts';

/** Orders under way at a time; where one ends, the next is placed. */
const ORDERS = 3;

/**
 * Makes `count` changes, at random moments that are `everyMs` apart on average: news that came in step with the polls would
 * make them look better, or worse, than they are. Stops early when `signal` aborts.
 */
export async function runShop(
  feed: Feed<Change>,
  { everyMs, count, firstId = 1, signal }: { everyMs: number; count: number; firstId?: number; signal: AbortSignal },
): Promise<void> {
  let nextId = firstId;
  const open = Array.from({ length: ORDERS }, () => ({ id: nextId++, version: 0 }));
  for (let n = 0; n < count; n++) {
    await delay(2 * everyMs * Math.random(), undefined, { signal });
    const order = open[n % ORDERS]!;
    order.version += 1;
    const change = { status: STATUSES[order.version - 1]!, version: order.version };
    await feed.append(String(order.id), change);
    if (isOver(change)) Object.assign(order, { id: nextId++, version: 0 });
  }
}

/** The feed that all processes of this shop share, by REDIS_URL and FEED_KEY. */
function openFeed(stack: AsyncDisposableStack): Feed<Change> {
  const url = envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'it says which Redis holds the feed' });
  return stack.use(new RedisFeed<Change>({ url, key: process.env.FEED_KEY ?? 'patterns:polling:feed' }));
}

/** What a server run by hand serves: the feed in Redis, or, without REDIS_URL, one in memory with a shop of its own. */
export function openShop(stack: AsyncDisposableStack, signal: AbortSignal): Feed<Change> {
  if (process.env.REDIS_URL) return openFeed(stack);
  const feed = stack.use(new MemoryFeed<Change>());
  runShop(feed, { everyMs: 3_000, count: Number.POSITIVE_INFINITY, signal }).catch(() => {}); // aborted: the process ends
  return feed;
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const feed = openFeed(stack);
    await runShop(feed, {
      everyMs: envInteger('EVERY_MS', 3_000, { min: 1 }),
      count: envInteger('COUNT', Number.MAX_SAFE_INTEGER, { min: 1 }),
      firstId: Math.floor(Date.now() / 1_000) % 1_000_000, // not an order that an earlier run left in the feed
      signal,
    });
    await stack.disposeAsync();
  });
}
