import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { deliveryContract } from '@patterns/kit/testing/delivery-contract';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { requireRedis } from '@patterns/services/testing';
import { inject } from 'vitest';
import { subscribe } from '../client.ts';
import { PATH, type Quote } from '../protocol.ts';
import { price } from './ticker.ts';

requireRedis()('sse over a feed in Redis', () => {
  deliveryContract({
    start,
    malformed: /^400 application\/problem\+json .*malformed/,
    expired: /^200 text\/event-stream.*event: reset/s,
  });
});

async function start() {
  const stack = new AsyncDisposableStack();
  const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}` };
  const feed = stack.use(new RedisFeed<Quote>(redis));
  const env = { REDIS_URL: redis.url, FEED_KEY: redis.key, RETRY_MS: '100', LOG_LEVEL: 'error' };
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
      const padded = { ...price(0), padding: 'x'.repeat(bytes) };
      return feed.append('ACME', padded);
    },
    subscribe,
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
      return Number(/^sse_open_streams (\d+)$/m.exec(text)?.[1]);
    },
    async expire() {
      const { id } = await feed.append('ACME', price(1));
      await using forgetful = new RedisFeed<Quote>({ ...redis, retain: 5 });
      for (let n = 2; n < 20; n++) await forgetful.append('ACME', price(n));
      await this.restartServer(); // the old one has these events in its memory still, and rightly serves them
      return id;
    },
    async ask(cursor: string) {
      const response = await fetch(`${url}${PATH}`, { headers: { 'Last-Event-ID': cursor } });
      const head = `${response.status} ${response.headers.get('content-type')}`;
      let body = '';
      const decoder = new TextDecoder();
      // A stream does not end by itself: its first event is what we came for.
      for await (const chunk of response.body!) {
        body += decoder.decode(chunk, { stream: true });
        if (body.includes('data: ')) break;
      }
      return `${head} ${body}`;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
