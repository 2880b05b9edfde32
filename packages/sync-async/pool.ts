/**
 * A bounded pool of threads: computation away from the event loop, and no more of it than there are cores.
 *
 * Piscina starts the threads and hands them the tasks. Three things are ours, because it does them otherwise (5.3.2, observed):
 * the bound, since its `maxQueue` does not count tasks that have a signal; the stop, since its own kills the thread, and the
 * next report waits for a new one; the end, since its `close()` does not wait for all threads when there are several.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { Piscina } from 'piscina';
import type { Report, ReportRequest } from './protocol.ts';
import type { Task } from './report-thread.ts';

export interface PoolOptions {
  /** All cores but one, which is the event loop's. */
  threads?: number | undefined;
  /** Reports that may wait for a thread; then 503. As many as a caller would still wait for, not as many as fit in memory. */
  maxQueue?: number | undefined;
  log: Log;
}

export interface ReportPool extends AsyncDisposable {
  /** Reports that are being computed now, and those that wait for a thread. */
  readonly running: number;
  readonly queued: number;
  /** How they ended. */
  readonly ended: Readonly<Record<'done' | 'failed' | 'stopped' | 'refused', number>>;
  /**
   * Computes a report in a thread. When `signal` aborts, the thread stops.
   * @throws {HttpProblem} 503 when all threads are busy and the queue is full; what `signal` aborted with, when it did; the
   * error of the computation.
   */
  run(request: ReportRequest, signal: AbortSignal): Promise<Report>;
}

/** How long a caller is told to wait when the queue is full: about one report. */
const RETRY_AFTER_SECONDS = '2';

/** Opens the pool. Ends at once when disposed: let what runs in it finish, or stop it, before. */
export function openPool({ threads, maxQueue = 4, log }: PoolOptions): ReportPool {
  const size = threads ?? Math.max(1, availableParallelism() - 1);
  const piscina = new Piscina({
    filename: fileURLToPath(new URL('report-thread.ts', import.meta.url)),
    minThreads: 0, // a thread is started when it is first needed, which takes a tenth of a second, and then stays
    maxThreads: size,
    idleTimeout: Number.POSITIVE_INFINITY,
    // A report that grows without limit ends its thread (ERR_WORKER_OUT_OF_MEMORY), and not the process.
    resourceLimits: { maxOldGenerationSizeMb: 256 },
  });
  // A thread that dies with nothing to do has nobody to tell; without a listener it would end the process.
  piscina.on('error', (error) => log.error('a thread of the pool died', { error }));
  let admitted = 0;
  const ended = { done: 0, failed: 0, stopped: 0, refused: 0 };

  // #region run
  async function run(request: ReportRequest, signal: AbortSignal): Promise<Report> {
    signal.throwIfAborted();
    if (admitted >= size + maxQueue) {
      ended.refused++;
      throw new HttpProblem(503, {
        detail: 'too many reports at once',
        headers: { 'Retry-After': RETRY_AFTER_SECONDS },
      });
    }
    admitted++;
    const stop = new Int32Array(new SharedArrayBuffer(4));
    return new Promise<Report>((resolve, reject) => {
      const onAbort = () => {
        Atomics.store(stop, 0, 1);
        reject(signal.reason); // the caller need not wait; its place is free when the thread is through
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const finish = (how: keyof typeof ended) => {
        admitted--;
        ended[how]++;
        signal.removeEventListener('abort', onAbort);
      };
      piscina.run({ request, stop } satisfies Task).then(
        (report: Report | undefined) => {
          finish(report ? 'done' : 'stopped');
          if (report) resolve(report); // else `onAbort` has answered already
        },
        (error: unknown) => {
          finish('failed');
          reject(error);
        },
      );
    });
  }
  // #endregion

  return {
    get running() {
      return Math.min(admitted, size);
    },
    get queued() {
      return Math.max(0, admitted - size);
    },
    ended,
    run,
    [Symbol.asyncDispose]: () => piscina.destroy(),
  };
}
