/**
 * The server process of the websocket-push benchmark: `node websocket-push-server.ts <contestant>`. All send the same 200
 * bytes, a chat message whose text begins with its number and the moment when it was due: `#7 1763766000000.25 ....`.
 */
import { createServer } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { listen } from '@patterns/kit/listen';
import { type ChatData, encode, PATHS, ROOM } from '@patterns/websocket-push/protocol';
import { startServer } from '@patterns/websocket-push/server';
import { MemoryStore } from '@patterns/websocket-push/store';
import { Tickets } from '@patterns/websocket-push/tickets';
import { Server as SocketIo } from 'socket.io';
import { WebSocketServer } from 'ws';
import { answerAsServer, type Contending } from './delivery-server.ts';

export type Contestant = 'ours' | 'ours, feed in Redis' | 'plain ws.send loop' | 'socket.io';

const contestants: Record<Contestant, () => Promise<Contending>> = {
  ours: () => ours(new MemoryFeed()),
  'ours, feed in Redis': () =>
    ours(new RedisFeed({ url: process.env.REDIS_URL!, key: process.env.FEED_KEY!, retain: 100_000 })),

  /** The broadcast of the `ws` manual, with the message turned into text once. */
  async 'plain ws.send loop'() {
    const server = createServer();
    const sockets = new WebSocketServer({ server, perMessageDeflate: false });
    const broadcast = (message: string) => {
      for (const socket of sockets.clients) socket.send(message);
    };
    sockets.on('connection', (socket) => {
      socket.on('error', console.error);
      socket.on('message', (data) => broadcast((data as Buffer).toString()));
    });
    const { url } = await listen(server);
    return {
      addresses: addressesAt(url),
      streams: () => sockets.clients.size,
      publish: (n, dueAt) => broadcast(encode({ type: 'event', ...eventOf(n, dueAt) })),
    };
  },

  async 'socket.io'() {
    const server = createServer();
    const io = new SocketIo(server, { transports: ['websocket'], perMessageDeflate: false, serveClient: false });
    const { url } = await listen(server);
    return {
      addresses: addressesAt(`${url}/socket.io/?EIO=4&transport=websocket`),
      streams: () => io.sockets.sockets.size,
      publish: (n, dueAt) => io.emit('event', eventOf(n, dueAt)),
    };
  },
};

/** Whole, with its handshake: each subscriber comes with a ticket of its own. */
async function ours(feed: Feed<ChatData>): Promise<Contending> {
  const store = new MemoryStore();
  const server = await startServer({ feed, store, maxPerUser: Number.POSITIVE_INFINITY });
  const tickets = new Tickets({ store });
  const session = await tickets.login('ann');
  const address = async () => `${server.url}${PATHS.chat}?ticket=${await tickets.issue(session)}`;
  return {
    addresses: (count) => Promise.all(Array.from({ length: count }, address)),
    streams: () => server.connections,
    publish: (n, dueAt) => feed.append(ROOM, dataOf(n, dueAt)),
  };
}

/** What a message says, and long enough for a frame of 200 bytes. */
const dataOf = (n: number, dueAt: number): ChatData => ({
  type: 'said',
  from: 'ann',
  id: `7f3a-${n}`,
  text: `#${n} ${dueAt} `.padEnd(64, '.'),
});

/** An event as a feed makes it, for those who have none. */
function eventOf(n: number, dueAt: number) {
  const at = Date.now();
  return { id: `${at}-${n}`, topic: ROOM, at, data: dataOf(n, dueAt) };
}

/** All subscribers ask for the same. */
const addressesAt = (url: string) => (count: number) => Array.from({ length: count }, () => url);

answerAsServer(await contestants[process.argv[2] as Contestant]());
