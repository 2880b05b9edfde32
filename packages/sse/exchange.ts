/**
 * Where the prices come from: a made-up exchange that appends to the feed. It knows no server and no client.
 * Ends when it has published `count` prices, by closing the market.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { envInteger, envUrl } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { MARKET, type Quote } from './protocol.ts';

const SYMBOLS = ['ACME', 'GLOBEX', 'INITECH'];

/** Publishes `count` prices, one every `everyMs`, then closes the market. Stops early when `signal` aborts. */
export async function publishPrices(
  feed: Feed<Quote>,
  { everyMs, count, signal }: { everyMs: number; count: number; signal: AbortSignal },
): Promise<void> {
  const prices = new Map(SYMBOLS.map((symbol) => [symbol, 100]));
  for (let n = 1; n <= count; n++) {
    await delay(everyMs, undefined, { signal });
    const symbol = SYMBOLS[n % SYMBOLS.length]!;
    const price = Math.round((prices.get(symbol)! + Math.random() * 2 - 1) * 100) / 100;
    prices.set(symbol, price);
    await feed.append(symbol, { type: 'price', price, n });
  }
  await feed.append(MARKET, { type: 'closed' });
}

/** The feed that all processes of this ticker share, by REDIS_URL and FEED_KEY. */
function openFeed(stack: AsyncDisposableStack): Feed<Quote> {
  const url = envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'it says which Redis holds the feed' });
  return stack.use(new RedisFeed<Quote>({ url, key: process.env.FEED_KEY ?? 'patterns:sse:feed' }));
}

/** What a server run by hand serves: the feed in Redis, or, without REDIS_URL, one in memory with an exchange of its own. */
export function openTicker(stack: AsyncDisposableStack, signal: AbortSignal): Feed<Quote> {
  if (process.env.REDIS_URL) return openFeed(stack);
  const feed = stack.use(new MemoryFeed<Quote>());
  publishPrices(feed, { everyMs: 1_000, count: Number.POSITIVE_INFINITY, signal }).catch(() => {}); // aborted: the process ends
  return feed;
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const feed = openFeed(stack);
    await publishPrices(feed, {
      everyMs: envInteger('EVERY_MS', 1_000, { min: 1 }),
      count: envInteger('COUNT', Number.MAX_SAFE_INTEGER, { min: 1 }),
      signal,
    });
    await stack.disposeAsync();
  });
}
