/** The client by hand, and the page in a real browser, over the whole town. */
import { startProcess } from '@patterns/kit/testing/processes';
import { launchChromium } from '@patterns/services/chromium';
import { redisKeyspace } from '@patterns/services/keyspace';
import { requireExtra, requirePostgres, requireRedis } from '@patterns/services/testing';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { startTown, type Town } from '../server.ts';

requireRedis()('the town', () => {
  requirePostgres()('as its customers see it', () => {
    let town: Town;
    const stack = new AsyncDisposableStack();
    // Ten processes start, on a machine that may be busy with other tests.
    beforeAll(async () => {
      const redisUrl = inject('redisUrl');
      const { prefix: redisPrefix } = stack.use(redisKeyspace(redisUrl, 'town'));
      // Slow enough to be watched. One more step is one more line to see.
      // And nobody gives up because this machine is busy with other tests.
      const env = { gateway: { MAX_MS: '20000' }, kitchen: { COOK_MS: '300' }, tracking: { STEP_MS: '150' } };
      town = stack.use(await startTown({ databaseUrl: inject('databaseUrl'), redisUrl, redisPrefix, env }));
    }, 120_000);
    afterAll(() => stack.disposeAsync(), 30_000);

    test('the client signs up, logs in, orders, and follows it to the end', async () => {
      await using client = startProcess(new URL('../client.ts', import.meta.url), { args: [town.url] });
      expect(await client.exited, client.output()).toMatchObject({ code: 0 });
      const lines = client.output().split('\n');
      const seen = lines.filter((line) => /^(paid|cooking|on-the-way|delivered)$/.test(line));
      expect(seen, client.output()).toEqual(['paid', 'cooking', 'on-the-way', 'delivered']);
      expect(lines.filter((line) => /^the courier is \d+ m away$/.test(line)).length).toBeGreaterThan(1);
      expect(client.output()).toMatch(/^order [\w-]{36}: (?:paid|awaiting-payment), 8\.00 {2}trace [0-9a-f]{32}$/m);
    }, 60_000);

    requireExtra('chromium')('Chromium', () => {
      let browser: Browser;
      beforeAll(async () => {
        browser = await launchChromium();
      }, 60_000);
      afterAll(() => browser.close());

      const enter = async (page: Page, name: string) => {
        await page.goto(town.url);
        await page.fill('input[name=name]', name);
        await page.fill('input[name=password]', 'a wet day in may');
        await page.click('text=Sign up');
        await page.locator('#shop').waitFor();
      };
      const order = async (page: Page, dish: string) => {
        await page.fill(`input[name=${dish}]`, '2');
        await page.fill('input[name=address]', '1 <b>Main</b> Street');
        await page.click('#shop button');
      };

      test('places an order and watches it arrive, across a tracking service that was killed', async () => {
        await using context = await browser.newContext();
        const page = await context.newPage();
        const errors: string[] = [];
        page.on('pageerror', ({ message }) => errors.push(message));
        page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
        await enter(page, 'ann');
        await order(page, 'pizza');
        await page.locator('#states li').getByText('on-the-way', { exact: true }).waitFor({ timeout: 60_000 });
        await page.locator('#metres').getByText('m to go').waitFor({ state: 'attached' });
        expect(await page.locator('#where').textContent()).toBe('Your order: 20.00');
        await town.kill('tracking');
        await town.start('tracking');
        await page.locator('#states li').getByText('delivered', { exact: true }).waitFor({ timeout: 60_000 });
        const states = await page.locator('#states li').allTextContents();
        // What it opened anew showed the whole way again, from its beginning.
        expect(states.filter((state, i) => states.indexOf(state) === i)).toEqual(states);
        expect(states.slice(-4)).toEqual(['paid', 'cooking', 'on-the-way', 'delivered']);
        // Lines that broke are told in the console, by the browser; nothing else went wrong, and the page's policy held.
        expect(errors.filter((error) => !error.startsWith('Failed to load resource'))).toEqual([]);
      }, 120_000);

      test('says what went wrong, and lets the customer mend it', async () => {
        await using context = await browser.newContext();
        const page = await context.newPage();
        await enter(page, 'bob');
        await page.fill('input[name=address]', 'somewhere');
        await page.click('#shop button');
        await page.locator('#message').getByText('/items: 1 to 20 items').waitFor();
        await order(page, 'truffle');
        // The kitchen has none: the money goes back.
        await page
          .locator('#states li')
          .getByText(/^cancelled/)
          .waitFor({ timeout: 60_000 });

        await page.goto(town.url);
        await page.fill('input[name=name]', 'bob');
        await page.fill('input[name=password]', 'not the same');
        await page.click('text=Log in');
        await page.locator('#message').getByText('wrong name or password').waitFor();
      }, 120_000);
    });
  });
});
