/** The page of a hundred in a real browser. What ten event streams do to it, over each version, the demo shows and checks. */
import { makeCertificate } from '@patterns/kit/certificate';
import { createLog } from '@patterns/kit/log';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { requireExtra } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { launchBrowser } from '../demo-browser.ts';
import { PAGE } from '../protocol.ts';
import { startServer } from '../server.ts';

requireExtra('chromium')('Chromium', () => {
  test('loads the page of a hundred over one connection', async () => {
    const log = createLog('test');
    log.silent = true;
    await using server = await startServer({ certificate: await makeCertificate(), log });
    const connections = new Set<number>();
    const onData = (_chunk: Buffer, { connection }: { connection: number }) => connections.add(connection);
    await using line = await startFaultProxy(server.url, { onData });
    await using browser = await launchBrowser('HTTP/2');
    const page = await browser!.newPage({ ignoreHTTPSErrors: true });
    await page.goto(line.url + PAGE);
    await page.waitForFunction(`document.getElementById('protocol').value === 'h2'`);
    expect(await page.textContent('#loaded')).toBe('100');
    // A browser opens one ahead now and then; what it needs is one.
    expect(server.sessions.size).toBe(1);
    expect(connections.size).toBeLessThanOrEqual(2);
  });
});
