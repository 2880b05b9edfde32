/**
 * Somebody else, who wants next to nothing, and notices how the others are served.
 */
import { setTimeout as delay } from 'node:timers/promises';

const EVERY_MS = 20;

/** Pings until `ended` is settled. @returns how many answers came, and how long one took at worst, in milliseconds. */
export async function pingUntil(
  ended: Promise<unknown>,
  ping: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<{ worstMs: number; count: number }> {
  let isOver = false;
  const over = () => (isOver = true);
  ended.then(over, over);
  const seen = { worstMs: 0, count: 0 };
  while (!isOver && !signal.aborted) {
    const askedAt = performance.now();
    // While the server is being restarted nobody answers, which is another story.
    if (await ping().catch(() => undefined)) {
      seen.worstMs = Math.max(seen.worstMs, performance.now() - askedAt);
      seen.count++;
    }
    await delay(EVERY_MS);
  }
  return seen;
}
