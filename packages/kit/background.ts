/**
 * What a server does beside answering.
 */
import { setInterval as every } from 'node:timers/promises';
import type { Log } from './log.ts';

/**
 * Does `work` every `ms` milliseconds, never twice at once, and logs when it fails.
 * Ends when disposed; then nothing of it is running any more.
 */
export function repeat(ms: number, work: () => Promise<unknown>, log: Log): AsyncDisposable {
  const stopping = new AbortController();
  const run = async () => {
    for await (const _ of every(ms, undefined, { signal: stopping.signal })) {
      await work().catch((error) => log.warn('background work failed', { error }));
    }
  };
  const ended = run().catch(() => {}); // the abort
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await ended;
    },
  };
}
