/**
 * The server process of the sse benchmark: `node sse-server.ts <contestant>`. It also makes the events, because their
 * making costs all contestants the same, and a third process would want a third core.
 *
 * All send the same 200 bytes. An event's price is the moment when it was due, so that the receiver can tell the latency.
 */
import { createServer, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { listen } from '@patterns/kit/listen';
import { encodeQuote, encodeRetry, PATH, type Quote, STREAM_HEADERS } from '@patterns/sse/protocol';
import { startServer } from '@patterns/sse/server';
import { createChannel, createSession } from 'better-sse';
import { answer } from './processes.ts';

export type Contestant = 'ours' | 'ours, feed in Redis' | 'bare node:http' | 'better-sse';

interface Contending {
  url: string;
  streams(): number;
  publish(n: number, price: number): unknown;
}

/** Long enough for a frame of 200 bytes. */
const SYMBOL = 'ACME'.padEnd(88, '.');

const contestants: Record<Contestant, () => Promise<Contending>> = {
  ours: () => ours(new MemoryFeed()),
  'ours, feed in Redis': () =>
    ours(new RedisFeed({ url: process.env.REDIS_URL!, key: process.env.FEED_KEY!, retain: 100_000 })),

  async 'bare node:http'() {
    const streams = new Set<ServerResponse>();
    const server = createServer((_request, response) => {
      response.writeHead(200, STREAM_HEADERS);
      response.write(encodeRetry(2_000));
      streams.add(response);
      response.once('close', () => streams.delete(response));
    });
    return {
      url: (await listen(server)).url,
      streams: () => streams.size,
      publish(n, price) {
        const at = Date.now();
        const frame = encodeQuote({ id: `${at}-${n}`, topic: SYMBOL, at, data: { type: 'price', price, n } });
        for (const response of streams) response.write(frame);
      },
    };
  },

  async 'better-sse'() {
    const channel = createChannel();
    const server = createServer((request, response) => {
      createSession(request, response).then((session) => channel.register(session), console.error);
    });
    return {
      url: (await listen(server)).url,
      streams: () => channel.sessionCount,
      publish(n, price) {
        const at = Date.now();
        channel.broadcast({ symbol: SYMBOL, price, n, at }, 'price', { eventId: `${at}-${n}` });
      },
    };
  },
};

async function ours(feed: Feed<Quote>): Promise<Contending> {
  const { url } = await startServer({ feed });
  const ownFollowers = feed.followers;
  return {
    url,
    streams: () => feed.followers - ownFollowers,
    publish: (n, price) => feed.append(SYMBOL, { type: 'price', price, n }),
  };
}

const contending = await contestants[process.argv[2] as Contestant]();
let n = 0;

/**
 * Offers `rate` events a second, each in a callback of its own, as from so many senders, and makes up for what it is late:
 * then several fall into one pass of the event loop. A server that cannot keep up publishes fewer. An event's time is the
 * moment when it was due, so that what it has waited here is part of its latency.
 */
async function publish({ rate, durationMs }: { rate: number; durationMs: number }): Promise<number> {
  const startedAt = performance.now();
  const published: unknown[] = [];
  while (performance.now() - startedAt < durationMs) {
    const dueAt = startedAt + (published.length * 1_000) / rate;
    if (dueAt > performance.now()) await delay(dueAt - performance.now());
    else await new Promise<void>((resolve) => process.nextTick(resolve));
    published.push(contending.publish(++n, performance.timeOrigin + dueAt));
  }
  await Promise.all(published);
  return published.length;
}

const handlers = {
  url: () => contending.url + PATH,
  streams: () => contending.streams(),
  publish,
};
export type SseServer = typeof handlers;
answer(handlers);
