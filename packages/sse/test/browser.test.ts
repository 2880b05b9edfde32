import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { launchChromium } from '@patterns/services/chromium';
import { requireExtra, requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';
import { MARKET, type Quote } from '../protocol.ts';
import { price } from './ticker.ts';

requireRedis()('in a browser', () => {
  requireExtra('chromium')('Chromium, with its own EventSource', () => {
    test('shows live prices, goes on at the other server when its own is killed, and stops when the market closes', async () => {
      await using stack = new AsyncDisposableStack();
      const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}` };
      const feed = stack.use(new RedisFeed<Quote>(redis));
      const env = { REDIS_URL: redis.url, FEED_KEY: redis.key, RETRY_MS: '200', LOG_LEVEL: 'error' };
      const startServer = () => stack.use(startProcess(new URL('../server.ts', import.meta.url), { env }));
      const [a, b] = [startServer(), startServer()];
      const balancer = stack.use(await startFaultProxy(await a.url()));
      await b.url();

      const browser = await launchChromium();
      stack.defer(() => browser.close());
      const page = await browser.newPage();
      await page.goto(balancer.url);
      const shows = (id: string, text: string) =>
        page.waitForFunction(`document.getElementById('${id}').textContent === '${text}'`);

      await shows('state', 'live');
      for (let n = 1; n <= 5; n++) await feed.append('ACME', price(n));
      await shows('count', '5');

      balancer.target(await b.url());
      await a.kill('SIGKILL');
      for (let n = 6; n <= 10; n++) await feed.append('ACME', price(n)); // while the page has no server
      await shows('count', '10');
      await shows('state', 'live');
      for (let n = 11; n <= 15; n++) await feed.append('ACME', price(n));
      await shows('count', '15');
      expect(await page.textContent('#missed')).toBe('0');

      await feed.append(MARKET, { type: 'closed' });
      await shows('state', 'ended');
    });
  });
});
