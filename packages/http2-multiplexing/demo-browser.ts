/**
 * A real browser, told which HTTP version it may speak, and what it makes of a page that opens ten event streams and then asks
 * for one thing more.
 */
import type { Stage } from '@patterns/kit/demo';
import { launchChromium } from '@patterns/services/chromium';
import { findExtra } from '@patterns/services/extras';
import type { Browser } from 'playwright-core';
import { EVENT_SOURCES, EVENTS } from './protocol.ts';

export type Version = 'HTTP/1.1' | 'HTTP/2';

/** What the page shows in the end. */
export interface Streams {
  /** Of ten. */
  readonly open: number;
  readonly protocol: string;
  /** The answer to one request more, or `waits`. */
  readonly another: string;
}

/** A browser that speaks no newer version. Undefined where there is no Chromium. */
export async function launchBrowser(version: Version): Promise<Browser | undefined> {
  if (!findExtra('chromium')) return undefined;
  return await launchChromium(...(version === 'HTTP/1.1' ? ['--disable-http2'] : []));
}

/** Opens the page of ten event streams. @returns undefined where there is no Chromium. */
export async function openTenStreams(url: string, version: Version): Promise<Streams | undefined> {
  await using browser = await launchBrowser(version);
  if (!browser) return undefined;
  // The certificate signs itself, and this browser was started for a page of ours alone.
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.goto(url + EVENT_SOURCES);
  // The page asks for more with the second event, a second after the first: by the third, it has it, or waits for a connection.
  await page.waitForFunction(`document.getElementById('seconds').value === '3'`);
  const read = async (id: string) => (await page.textContent(`#${id}`)) ?? '';
  return { open: Number(await read('open')), protocol: await read('protocol'), another: await read('another') };
}

/** The same as a scene of the demo; `column` is where the table has it. */
export async function showTenStreams({ story }: Stage, url: string, version: Version, column: string) {
  story.wire('browser', 'server', `${version}: GET ${EVENT_SOURCES}, 10 × GET ${EVENTS}, GET /resource1`);
  const seen = await openTenStreams(url, version);
  if (!seen) {
    story.act('browser', 'skipped: there is no chromium here (pnpm extras)');
    return undefined;
  }
  story.act('browser', `${seen.open} of 10 event streams are open; /resource1: ${seen.another}`);
  story.measure(column, { 'browser: event streams open, of 10': seen.open, 'browser: one request more': seen.another });
  return seen;
}
