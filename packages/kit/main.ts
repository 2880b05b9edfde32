/**
 * The life of a process: start, run, stop on a signal.
 *
 * SIGTERM (an orchestrator), SIGINT (^C) and the death of the parent process all mean the same: stop accepting, drain,
 * release, exit. What the program opened is on the stack it was given and is released in reverse order.
 */
import { ConfigError } from './env.ts';

/** Longer than any server's own drain (5 s, `listen.ts`), shorter than an orchestrator's patience (10 to 30 s). */
const RELEASE_MS = 8_000;

/** Sooner than a person who presses ^C again because nothing happens. */
const SECOND_INTERRUPT_MS = 500;

/**
 * Runs a program until it ends or is told to stop.
 * Exit codes: 0 when it ended or was stopped, 1 when it failed, 130 when a second ^C cut the draining short.
 *
 * @param program opens what it needs with `stack.use(...)`; `signal` aborts when the process is told to stop.
 * @param options.releaseMs how long releasing may take: more for a program that has to end many others first.
 */
export async function main(
  program: (stack: AsyncDisposableStack, signal: AbortSignal) => Promise<void>,
  { releaseMs = RELEASE_MS } = {},
): Promise<void> {
  const stack = new AsyncDisposableStack();
  const stopping = new AbortController();

  let released: Promise<void> | undefined;
  /** Disposing a stack twice does not wait the second time: whoever comes second waits for the first. */
  function release(): Promise<void> {
    if (!released) {
      setTimeout(() => {
        console.error(`not released within ${releaseMs / 1000} s: gone without`);
        process.exit(1);
      }, releaseMs).unref();
      released = stack.disposeAsync().catch(report);
    }
    return released;
  }

  let stoppedAt = 0;
  async function stop(signal?: NodeJS.Signals): Promise<void> {
    if (stopping.signal.aborted) {
      // A terminal sends ^C to the whole group, and a parent may pass it on: only one that comes later is a second one.
      if (signal === 'SIGINT' && performance.now() - stoppedAt > SECOND_INTERRUPT_MS) process.exit(130);
      return;
    }
    stoppedAt = performance.now();
    stopping.abort();
    await release();
    process.exit();
  }
  const onSignal = (signal?: NodeJS.Signals) => void stop(signal);
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // Started by another program of ours: its death, even by kill -9, closes the channel between us.
  process.once('disconnect', () => onSignal());
  process.channel?.unref();
  if (process.connected === false) onSignal(); // it died while we were loading

  try {
    await program(stack, stopping.signal);
  } catch (error) {
    if (stopping.signal.aborted) return;
    report(error);
    await release();
    process.exit();
  }
}

function report(error: unknown): void {
  if (error instanceof ConfigError) console.error(error.message);
  else console.error(error);
  process.exitCode = 1;
}
