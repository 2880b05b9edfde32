import { createServer } from 'node:http';
import { makeCertificate } from '@patterns/kit/certificate';
import { listen } from '@patterns/kit/listen';
import { launchChromium } from '@patterns/services/chromium';
import { requireExtra, requirePostgres, requireRedis } from '@patterns/services/testing';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { idIn, startServers } from './servers.ts';

requireRedis()('in a browser', () => {
  requirePostgres()('with users', () => {
    requireExtra('chromium')('Chromium', () => {
      let servers: Awaited<ReturnType<typeof startServers>>;
      let browser: Browser;
      beforeAll(async () => {
        servers = await startServers();
        browser = await launchChromium();
      }, 30_000);
      afterAll(async () => {
        await browser.close();
        await servers[Symbol.asyncDispose]();
      });

      const shows = (page: Page, text: string) => page.locator('#state').getByText(text, { exact: true }).waitFor();
      const logIn = async (page: Page) => {
        await page.fill('input[name=name]', servers.user.name);
        await page.fill('input[name=password]', servers.user.password);
        await page.click('#login button');
      };

      test('logs in, is known at the other server, and logs out', async () => {
        await using context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(servers.a);
        await shows(page, 'you are not logged in');
        await logIn(page);
        await shows(page, `logged in as ${servers.user.name}`);
        expect(await page.textContent('#preferences')).toBe('dark modenotifications on');
        expect(await context.cookies()).toMatchObject([
          { name: 'sid', httpOnly: true, sameSite: 'Lax', secure: false, path: '/', domain: '127.0.0.1' },
        ]);
        expect(await page.evaluate('document.cookie')).toBe(''); // no script reads it, ours or another's
        await page.goto(servers.b); // a cookie belongs to a host, with all its ports
        await shows(page, `logged in as ${servers.user.name}`);
        await page.click('#logout');
        await shows(page, 'you are not logged in');
        expect(await context.cookies()).toEqual([]);
      });

      test('gets a cookie for this host and TLS only, when there is TLS', async () => {
        const url = await servers.start({ tls: await makeCertificate() });
        await using context = await browser.newContext({ ignoreHTTPSErrors: true });
        const page = await context.newPage();
        await page.goto(url);
        await shows(page, 'you are not logged in');
        await logIn(page);
        await shows(page, `logged in as ${servers.user.name}`);
        expect(await context.cookies()).toMatchObject([
          { name: '__Host-sid', httpOnly: true, sameSite: 'Lax', secure: true, path: '/', domain: '127.0.0.1' },
        ]);
        await page.click('#logout-everywhere');
        await shows(page, 'you are not logged in');
      });

      test('logs in without JavaScript as well', async () => {
        await using context = await browser.newContext({ javaScriptEnabled: false });
        const page = await context.newPage();
        await page.goto(servers.a);
        await logIn(page);
        await page.waitForURL(`${servers.a}/`);
        const [cookie] = await context.cookies();
        expect(idIn(cookie?.value)).toHaveLength(43);
      });

      test('is made by a page of another origin to post in its user’s name, which does nothing', async () => {
        const evil = createServer((_request, response) => {
          response.setHeader('Content-Type', 'text/html');
          response.end(
            `<form method="post" action="${servers.a}/logout"></form><script>document.forms[0].submit()</script>`,
          );
        });
        await using elsewhere = await listen(evil);
        await using context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(servers.a);
        await logIn(page);
        await shows(page, `logged in as ${servers.user.name}`);

        // Another port is another origin, but the same site: SameSite=Lax lets the cookie through.
        const sent = page.waitForRequest(`${servers.a}/logout`);
        const answered = page.waitForResponse(`${servers.a}/logout`);
        await page.goto(elsewhere.url);
        expect((await (await sent).allHeaders()).cookie).toMatch(/^sid=/);
        expect((await answered).status()).toBe(403);
        // From another site it does not; and we would refuse it all the same.
        const answeredAgain = page.waitForResponse(`${servers.a}/logout`);
        await page.goto(elsewhere.url.replace('127.0.0.1', 'localhost'));
        expect((await answeredAgain).status()).toBe(403);

        await page.goto(servers.a);
        await shows(page, `logged in as ${servers.user.name}`);
      });
    });
  });
});
