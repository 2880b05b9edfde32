/** Where the news comes from, in demos and by hand: stories at a steady pace, straight into the newsroom. Ends after `count`. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Newsroom } from './newsroom.ts';

/** Publishes `count` stories, one every `everyMs`. Stops when `signal` aborts; a story that Redis did not take is not told again. */
export async function report(
  newsroom: Newsroom,
  { everyMs, count, signal }: { everyMs: number; count: number; signal: AbortSignal },
): Promise<void> {
  for (let n = 1; n <= count && !signal.aborted; n++) {
    await delay(everyMs, undefined, { signal }).catch(() => {});
    if (!signal.aborted) await newsroom.publish({ title: `Story ${n}`, content: 'Important update!' }).catch(() => {});
  }
}
