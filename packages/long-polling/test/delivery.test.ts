import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { deliveryContract } from '@patterns/kit/testing/delivery-contract';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { requireRedis } from '@patterns/services/testing';
import { inject } from 'vitest';
import { subscribe } from '../client.ts';
import { type Notice, UPDATES_PATH } from '../protocol.ts';
import { message, metricOf } from './office.ts';

requireRedis()('long-polling over a feed in Redis', () => {
  deliveryContract({
    start,
    malformed: /^400 application\/problem\+json .*malformed/,
    expired: /^410 application\/problem\+json .*expired/,
  });
});

async function start() {
  const stack = new AsyncDisposableStack();
  const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}` };
  const feed = stack.use(new RedisFeed<Notice>(redis));
  const env = { REDIS_URL: redis.url, FEED_KEY: redis.key, LOG_LEVEL: 'error' };
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
      const padded = { ...message(0), padding: 'x'.repeat(bytes) };
      return feed.append('messages', padded);
    },
    // A wide spread makes fewer and fuller answers: a thousand of these clients share this process.
    subscribe: (to: string, options: { after: string; signal: AbortSignal }) =>
      subscribe(to, { ...options, maxDelayMs: 1_000, spreadMs: 300 }),
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
    openStreams: () => metricOf(url, 'long_polling_parked'),
    async expire() {
      const { id } = await feed.append('messages', message(1));
      await using forgetful = new RedisFeed<Notice>({ ...redis, retain: 5 });
      for (let n = 2; n < 20; n++) await forgetful.append('messages', message(n));
      await this.restartServer(); // the old one has these updates in its memory still, and rightly serves them
      return id;
    },
    async ask(cursor: string) {
      const response = await fetch(`${url}${UPDATES_PATH}?wait=1&after=${encodeURIComponent(cursor)}`);
      return `${response.status} ${response.headers.get('content-type')} ${await response.text()}`;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
