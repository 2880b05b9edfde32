/**
 * The server process of the polling benchmark: `node polling-server.ts <contestant>`. It also makes the events: each is a new
 * order whose number says when it was due, so that the receiver can tell how old its news is.
 */
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { listen } from '@patterns/kit/listen';
import { startNaiveServer } from '@patterns/polling/naive';
import { type Change, UPDATES_PATH } from '@patterns/polling/protocol';
import { startServer } from '@patterns/polling/server';
import { answer } from './processes.ts';

export type Contestant = 'ours' | 'textbook' | 'bare node:http';

/** On the board before anybody asks: a small dashboard. */
const ORDERS = 20;

const contestants: Record<Contestant, (feed: Feed<Change>) => Promise<{ url: string }>> = {
  // Its clients wait as they like, and are all at one address.
  ours: (feed) => startServer({ feed, intervalS: 0, targetPerSecond: Number.POSITIVE_INFINITY, maxPerMinute: 0 }),

  textbook: (feed) => startNaiveServer({ feed }),

  'bare node:http'() {
    const headers = { ETag: '"1"', 'Cache-Control': 'private, no-cache' };
    const server = createServer((request, response) => {
      const isKnown = request.headers['if-none-match'] === headers.ETag;
      response.writeHead(isKnown ? 304 : 200, isKnown ? headers : { ...headers, 'Content-Length': 0 }).end();
    });
    return listen(server);
  },
};

const feed = new MemoryFeed<Change>({ retain: 100_000 });
for (let order = 1; order <= ORDERS; order++) await feed.append(String(order), { status: 'placed', version: 1 });
const { url } = await contestants[process.argv[2] as Contestant](feed);

const handlers = {
  /** Where a client asks that has seen everything. */
  url: async () => `${url}${UPDATES_PATH}?after=${await feed.position()}`,

  /** Events at random times, `rate` a second on average and independent of each other: how many it were. */
  async publishAtRandom({ rate, durationMs }: { rate: number; durationMs: number }): Promise<number> {
    const endAt = performance.now() + durationMs;
    for (let count = 0; ; count++) {
      const dueAt = performance.now() + (-Math.log(1 - Math.random()) * 1_000) / rate;
      // At least one: without an event there is nothing to measure.
      if (dueAt > endAt && count > 0) {
        await delay(Math.max(0, endAt - performance.now()));
        return count;
      }
      await delay(Math.max(0, dueAt - performance.now()));
      const due = (performance.timeOrigin + performance.now()).toFixed(3);
      await feed.append(`due=${due}`, { status: 'placed', version: 1 });
    }
  },
};
export type PollingServer = typeof handlers;
answer(handlers);
