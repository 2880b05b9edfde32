/**
 * Somebody else, who wants next to nothing, and notices how the others are served.
 */
import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const EVERY_MS = 20;

/** Pings until `ended` is settled. @returns how many answers came, and how long one took at worst, in milliseconds. */
export async function pingUntil(
  ended: Promise<unknown>,
  url: () => string,
  signal: AbortSignal,
): Promise<{ worstMs: number; count: number }> {
  let isOver = false;
  const over = () => (isOver = true);
  ended.then(over, over);
  const seen = { worstMs: 0, count: 0 };
  while (!isOver && !signal.aborted) {
    const askedAt = performance.now();
    // While the server is being restarted nobody answers, which is another story.
    const isAnswered = await ask(url()).then(
      () => true,
      () => false,
    );
    if (isAnswered) seen.worstMs = Math.max(seen.worstMs, performance.now() - askedAt);
    if (isAnswered) seen.count++;
    await delay(EVERY_MS);
  }
  return seen;
}

/** GET, on a connection of its own. One that was kept would be closed after 5 s by a server that had no time to look at it. */
export function ask(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () => resolve(text)).once('error', reject);
    });
    request.once('error', reject);
  });
}
