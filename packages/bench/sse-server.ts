/**
 * The server process of the sse benchmark: `node sse-server.ts <contestant>`. All send the same 200 bytes. An event's price
 * is the moment when it was due.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { listen } from '@patterns/kit/listen';
import { encodeQuote, encodeRetry, PATH, type Quote, STREAM_HEADERS } from '@patterns/sse/protocol';
import { startServer } from '@patterns/sse/server';
import { createChannel, createSession } from 'better-sse';
import { answerAsServer, type Contending } from './delivery-server.ts';

export type Contestant = 'ours' | 'ours, feed in Redis' | 'bare node:http' | 'better-sse';

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
    const { url } = await listen(server);
    return {
      addresses: addressesAt(url),
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
    const { url } = await listen(server);
    return {
      addresses: addressesAt(url),
      streams: () => channel.sessionCount,
      publish(n, price) {
        const at = Date.now();
        channel.broadcast({ symbol: SYMBOL, price, n, at }, 'price', { eventId: `${at}-${n}` });
      },
    };
  },
};

/** All subscribers ask for the same. */
const addressesAt = (url: string) => (count: number) => Array.from({ length: count }, () => url + PATH);

async function ours(feed: Feed<Quote>): Promise<Contending> {
  const { url } = await startServer({ feed });
  const ownFollowers = feed.followers;
  return {
    addresses: addressesAt(url),
    streams: () => feed.followers - ownFollowers,
    publish: (n, price) => feed.append(SYMBOL, { type: 'price', price, n }),
  };
}

const contending = await contestants[process.argv[2] as Contestant]();
answerAsServer(contending);
