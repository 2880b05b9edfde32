import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { deliveryContract } from '@patterns/kit/testing/delivery-contract';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { requireRedis } from '@patterns/services/testing';
import { inject } from 'vitest';
import { subscribe } from '../client.ts';
import { type Change, UPDATES_PATH } from '../protocol.ts';
import { change } from './desk.ts';

requireRedis()('polling over a feed in Redis', () => {
  deliveryContract({
    start,
    malformed: /^400 application\/problem\+json .*malformed/,
    expired: /^410 application\/problem\+json .*no longer kept/,
  });
});

async function start() {
  const stack = new AsyncDisposableStack();
  const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}` };
  // While a thousand clients begin in this process, an answer of Redis may lie unread for a while.
  const feed = stack.use(new RedisFeed<Change>({ ...redis, commandTimeoutMs: 10_000 }));
  const env = { REDIS_URL: redis.url, FEED_KEY: redis.key, INTERVAL_S: '0', MAX_PER_MINUTE: '0', LOG_LEVEL: 'error' };
  const startServer = () => stack.use(startProcess(new URL('../server.ts', import.meta.url), { env }));
  let server: ChildProgram = startServer();
  let url = await server.url();
  const proxy = stack.use(await startFaultProxy(url));

  return {
    proxy,
    get url() {
      return url;
    },
    append: (bytes = 0) => {
      const padded = { ...change(1), padding: 'x'.repeat(bytes) };
      return feed.append('1', padded);
    },
    // Slow enough for a thousand of them on two busy cores.
    subscribe: (from: string, options: { after: string; signal: AbortSignal }) =>
      subscribe(from, { ...options, minMs: 500, maxMs: 2_000 }),
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
    // Between two polls a subscriber holds nothing at all: what is open here are polls that are being answered.
    streamsPerSubscriber: 0,
    async openStreams() {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(/^polling_in_flight (\d+)$/m.exec(text)?.[1]);
    },
    async expire() {
      const { id } = await feed.append('1', change(1));
      await using forgetful = new RedisFeed<Change>({ ...redis, retain: 5 });
      for (let n = 2; n < 20; n++) await forgetful.append('1', change(n));
      await this.restartServer(); // the old one has these events in its memory still, and rightly serves them
      return id;
    },
    async ask(cursor: string) {
      const response = await fetch(`${url}${UPDATES_PATH}?after=${encodeURIComponent(cursor)}`);
      return `${response.status} ${response.headers.get('content-type')} ${await response.text()}`;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
