/**
 * Fails a test that leaves something behind: a socket, server, process, pipe or timer that would keep the process alive.
 *
 * Each resource is followed from its creation, not counted: a count taken before and after would be off by the test
 * runner's own timers, which come and go meanwhile, and could not say where a leak was created. What has been unref'd
 * (an idle connection in fetch's pool, say) is no leak. Tests that run concurrently in one file would see each other's.
 */
import { createHook } from 'node:async_hooks';
import { setTimeout as pause } from 'node:timers/promises';

interface Resource {
  type: string;
  handle: { hasRef(): boolean };
  /** Where it was created, innermost first, without Node's own frames; empty for an accepted socket. */
  frames: string[];
}

/** The last `close` of a connection comes a few milliseconds after the test's end: the kernel's time, not a grace. */
const SETTLE_MS = 2_000;
const POLL_MS = 5;

/**
 * Watches from now on; on dispose it waits till everything created since is gone, and else throws an Error that lists
 * what is left, by type and place. Usage, as the first line of a test, so that it is disposed last:
 *
 *     await using _leaks = noLeaks();
 */
export function noLeaks({ withinMs = SETTLE_MS }: { withinMs?: number } = {}): AsyncDisposable {
  const alive = new Map<number, Resource>();
  let isOurs = false;
  const hook = createHook({
    init(id, type, _trigger, handle) {
      if (isOurs || type === 'Immediate' || !isRefable(handle)) return;
      const frames = (new Error().stack ?? '').split('\n').slice(2);
      alive.set(id, { type, handle, frames: frames.filter((frame) => !/[ (]node:/.test(frame)) });
    },
    destroy: (id) => void alive.delete(id),
    trackPromises: false,
  }).enable();
  const left = () => [...alive.values()].filter(({ handle, frames }) => handle.hasRef() && !isRunners(frames));
  const poll = () => {
    isOurs = true;
    const polled = pause(POLL_MS);
    isOurs = false;
    return polled;
  };

  return {
    async [Symbol.asyncDispose]() {
      const deadline = performance.now() + withinMs;
      while (left().length > 0 && performance.now() < deadline) await poll();
      hook.disable();
      const lines = left().map(({ type, frames }) => `  ${type} ${placeOf(frames)}`.trimEnd());
      if (lines.length > 0) throw new Error(`The test left ${lines.length} open:\n${lines.join('\n')}`);
    },
  };
}

function isRefable(handle: object): handle is Resource['handle'] {
  return 'hasRef' in handle && typeof handle.hasRef === 'function';
}

/** The test runner's reports and deadlines run on timers of its own. */
function isRunners([innermost = '']: string[]): boolean {
  return /node_modules\/@?vitest\//.test(innermost);
}

/** The innermost frame of our own code; else of the library that created it without us. */
function placeOf(frames: string[]): string {
  return (frames.find((frame) => !frame.includes('node_modules')) ?? frames[0] ?? '').trim();
}
