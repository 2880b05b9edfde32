import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { listen } from '@patterns/kit/listen';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { launchChromium } from '@patterns/services/chromium';
import { requireExtra, requireRedis } from '@patterns/services/testing';
import type { Page } from 'playwright-core';
import { expect, inject, test } from 'vitest';
import { type ChatData, NOTICES, PATHS, PROTOCOL, ROOM } from '../protocol.ts';
import { notice, startRoom, ticketOf } from './room.ts';

requireRedis()('in a browser', () => {
  requireExtra('chromium')('Chromium, with its own WebSocket', () => {
    test('two tabs talk through two servers; one server is killed, and nothing is lost or doubled', {
      timeout: 60_000,
    }, async () => {
      await using stack = new AsyncDisposableStack();
      const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}` };
      const feed = stack.use(new RedisFeed<ChatData>(redis));
      const env = { REDIS_URL: redis.url, FEED_KEY: redis.key, LOG_LEVEL: 'error' };
      const startServer = () => stack.use(startProcess(new URL('../server.ts', import.meta.url), { env }));
      const [a, b] = [startServer(), startServer()];
      const balancer = stack.use(await startFaultProxy(await a.url()));
      const browser = stack.use(await launch());
      const ann = await browser.open(`${balancer.url}/?name=ann`);
      await shows(ann, 'state', 'connected'); // at server A
      balancer.target(await b.url());
      const bob = await browser.open(`${balancer.url}/?name=bob`);
      await shows(bob, 'state', 'connected'); // at server B

      for (let n = 1; n <= 5; n++) {
        await say(ann, `from ann ${n}`);
        await say(bob, `from bob ${n}`);
      }
      for (const page of [ann, bob]) await shows(page, 'count', '10');

      await a.kill('SIGKILL');
      for (let n = 6; n <= 10; n++) {
        await say(ann, `from ann ${n}`); // into a connection that is gone, or none
        await say(bob, `from bob ${n}`);
      }
      await feed.append(NOTICES, notice('closing time'));
      for (const page of [ann, bob]) {
        await shows(page, 'count', '21');
        await shows(page, 'unsaid', '0');
      }
      const lines = (page: Page) => page.locator('#log li').allTextContents();
      expect(await lines(ann)).toEqual(await lines(bob));
      const said = (await feed.read({ topic: ROOM })).map(({ data }) => data.text);
      for (const name of ['ann', 'bob']) {
        const own = said.filter((text) => text.includes(name));
        expect(own).toEqual(Array.from({ length: 10 }, (_, n) => `from ${name} ${n + 1}`));
      }
    });

    test('a page of another origin cannot connect, not even with a good ticket; the own page can', async () => {
      await using room = await startRoom();
      await using foreign = await listen(createServer((_request, response) => response.end('<!doctype html>')));
      await using browser = await launch();
      const tryFrom = async (pageUrl: string) => {
        const page = await browser.open(pageUrl);
        const url = `${room.url.replace('http', 'ws')}${PATHS.chat}?ticket=${await ticketOf(room.url)}`;
        return page.evaluate(
          `new Promise((resolve) => {
            const ws = new WebSocket('${url}', '${PROTOCOL}');
            ws.onopen = () => resolve('open');
            ws.onclose = ({ code }) => resolve(code);
          })`,
        );
      };
      expect(await tryFrom(foreign.url)).toBe(1006); // all that a page learns
      expect(await room.metric('ws_refused_total{status="403"}')).toBe(1);
      expect(await tryFrom(`${room.url}/metrics`)).toBe('open');
    });
  });
});

async function launch() {
  const browser = await launchChromium();
  return {
    async open(url: string): Promise<Page> {
      const page = await browser.newPage();
      await page.goto(url);
      return page;
    },
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

const shows = (page: Page, id: string, text: string) =>
  page.waitForFunction(`document.getElementById('${id}').textContent === '${text}'`);

async function say(page: Page, text: string): Promise<void> {
  await page.fill('input[name=text]', text);
  await page.press('input[name=text]', 'Enter');
}
