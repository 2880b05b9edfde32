import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { deliveryContract } from '@patterns/kit/testing/delivery-contract';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { requireRedis } from '@patterns/services/testing';
import { inject } from 'vitest';
import { subscribe } from '../client.ts';
import { type ChatData, NOTICES } from '../protocol.ts';
import { openSocket, sessionOf } from './room.ts';

requireRedis()('websocket-push over a feed in Redis', () => {
  deliveryContract({
    start,
    malformed: /^4400 after: malformed cursor$/,
    expired: /^{"type":"reset".*expired/,
  });
});

async function start() {
  const stack = new AsyncDisposableStack();
  const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}` };
  const feed = stack.use(new RedisFeed<ChatData>(redis));
  const env = { REDIS_URL: redis.url, FEED_KEY: redis.key, LOG_LEVEL: 'error' };
  const startServer = () => stack.use(startProcess(new URL('../server.ts', import.meta.url), { env }));
  let server: ChildProgram = startServer();
  let url = await server.url();
  const proxy = stack.use(await startFaultProxy(url));
  // As many users as there have to be, with as many connections as each may have.
  const sessions: Promise<string>[] = [];
  let subscribers = 0;
  const session = () => {
    const user = Math.floor(subscribers++ / 20);
    sessions[user] ??= sessionOf(url, `user${user}`);
    return sessions[user];
  };

  return {
    proxy,
    get url() {
      return url;
    },
    append: (bytes = 0) => feed.append(NOTICES, { type: 'notice', text: 'x'.repeat(bytes) }),
    async *subscribe(to: string, options: { after: string; signal: AbortSignal }) {
      yield* subscribe(to, { ...options, session: await session(), maxDelayMs: 500 });
    },
    async restartServer() {
      await server.kill('SIGKILL');
      server = startServer();
      url = await server.url();
      proxy.target(url);
    },
    async stopServer() {
      const { code } = await server.kill('SIGTERM');
      return code;
    },
    async openStreams() {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(/^ws_open_connections (\d+)$/m.exec(text)?.[1]);
    },
    async expire() {
      const { id } = await this.append();
      await using forgetful = new RedisFeed<ChatData>({ ...redis, retain: 5 });
      for (let n = 0; n < 20; n++) await forgetful.append(NOTICES, { type: 'notice', text: `${n}` });
      await this.restartServer(); // the old one has these events in its memory still, and rightly serves them
      return id;
    },
    /** The first thing said, after the welcome, or the close code and its reason. */
    async ask(cursor: string) {
      await using socket = await openSocket(url, { after: cursor });
      const first = await socket.frames.next();
      return first.includes('"welcome"') ? await socket.frames.next() : first;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
