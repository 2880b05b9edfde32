/** Writes down many small results in few statements: what has come up while one is under way goes into the next one together. */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { Log } from '@patterns/kit/log';

/** Over some six seconds: a connection that broke is replaced at once, a server that is restarted takes a little longer. */
const RETRY_WAITS_MS = [50, 100, 250, 500, 1_000, 2_000, 2_000];

/**
 * Makes a function that resolves when its item has been written, and never rejects: what cannot be written in spite of
 * several attempts is given up, with a line in the log. `write` may meet the same items twice.
 */
export function writeBehind<T>(write: (items: readonly T[]) => Promise<void>, log: Log): (item: T) => Promise<void> {
  let next: { items: T[]; written: Promise<void> } | undefined;
  let last = Promise.resolve();

  function begin() {
    const items: T[] = [];
    last = last.then(async () => {
      await nextTurn(); // whatever comes up in this pass of the event loop goes with it
      next = undefined;
      await writeOrGiveUp(items);
    });
    return { items, written: last };
  }

  async function writeOrGiveUp(items: readonly T[]): Promise<void> {
    for (const waitMs of RETRY_WAITS_MS) {
      try {
        return await write(items);
      } catch (error) {
        log.warn('not written yet', { items: items.length, error });
        await delay(waitMs);
      }
    }
    log.error('not written', { items: items.length });
  }

  return (item) => {
    next ??= begin();
    next.items.push(item);
    return next.written;
  };
}
