/**
 * Waiting with a deadline whose error says what was waited for: the two helpers that take the place of sleeps in tests.
 * `until` polls a condition that announces itself to nobody (a gauge, a key, a row); `within` bounds a promise.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';

/** Often enough that a test doesn't feel it, seldom enough that a condition which asks a server doesn't load it. */
const POLL_MS = 5;

type Truthy<T> = Exclude<T, null | undefined | false | 0 | 0n | ''>;

/**
 * Waits until `condition` returns a truthy value, and resolves with that value.
 * A condition that throws counts as "not yet". After `withinMs` (default 10 000) it rejects with an Error that names
 * `what` and the last value or error seen; when `signal` aborts, with the signal's reason.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { withinMs = 10_000, signal }: { withinMs?: number; signal?: AbortSignal } = {},
): Promise<Truthy<T>> {
  const deadline = performance.now() + withinMs;
  let last: { value: T } | { error: unknown };
  for (;;) {
    signal?.throwIfAborted();
    try {
      const left = Math.max(1, deadline - performance.now());
      const value = await within(what, left, Promise.resolve(condition()));
      if (value) return value as Truthy<T>;
      last = { value };
    } catch (error) {
      last = { error };
    }
    if (performance.now() >= deadline) {
      const seen = 'error' in last ? `last error: ${String(last.error)}` : `last value: ${inspect(last.value)}`;
      throw new Error(`Not within ${withinMs} ms: ${what} (${seen})`, 'error' in last ? { cause: last.error } : {});
    }
    await pause(POLL_MS, undefined, signal ? { signal } : {});
  }
}

/** Settles as `promise` does; rejects with an Error naming `what` when that takes longer than `ms` milliseconds. */
export async function within<T>(what: string, ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not within ${Math.round(ms)} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
