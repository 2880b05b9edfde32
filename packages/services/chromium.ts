/**
 * A real browser: the Chromium that is installed here (extras.ts), driven by Playwright.
 */
import { type Browser, chromium } from 'playwright-core';
import { findExtra } from './extras.ts';

/** Root has no sandbox. What is tried goes over TCP, and nothing is asked of the network that the page does not ask for. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Starts one, without a window, with `more` arguments; it ends when it is closed or disposed.
 * @throws {Error} where there is none: `requireExtra('chromium')` and `findExtra('chromium')` say so before.
 */
export async function launchChromium(...more: string[]): Promise<Browser> {
  const executablePath = findExtra('chromium');
  if (!executablePath) throw new Error('there is no Chromium here');
  return await chromium.launch({
    executablePath,
    args: [...ARGS, ...more],
    // Signals are for whoever started it to handle: Playwright would end the process.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
}
