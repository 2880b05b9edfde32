/**
 * A worker: takes jobs from a queue, calls their handlers, and tells the queue what became of each.
 *
 * A job is settled after its work, so whoever dies in between leaves it to somebody else, and a handler may see a job twice: it must be
 * idempotent. A handler that throws is tried again later, a few times, and then the job is set aside with the reason. Ends when
 * `signal` aborts: nothing more is taken, what is at work may finish, and what has not by then is given back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Attempt, JobContext } from './attempt.ts';
import { type BackoffOptions, backoffMs } from './backoff.ts';
import { Hands } from './hands.ts';
import type { Job } from './job.ts';
import type { Delivery, Outcome, Queue } from './queue.ts';

/** Does the work of one kind of job. Returning is success, throwing is failure; the reason of the last failure is kept with the job. */
export type Handler = (job: Job, context: JobContext) => void | Promise<void>;

export interface WorkOptions {
  /** Ends the work. */
  signal: AbortSignal;
  /** Jobs in hand at a time, until the broker knows what became of them. Default: 100, for handlers that mostly wait. */
  concurrency?: number;
  /**
   * How long a worker that died keeps its jobs from the others. Default: 30 s. Heartbeats extend it for as long as a handler runs: one that
   * may hang needs a limit of its own.
   */
  leaseMs?: number;
  /** Attempts after which a job is set aside. Default: 5. */
  maxAttempts?: number;
  backoff?: BackoffOptions;
  /** How long handlers may go on after `signal`. Default: 5 s, less than an orchestrator waits before it kills. */
  graceMs?: number;
  /** Must not throw, as `onProblem`. */
  onSettled?: (report: JobReport) => void;
  /** Gets what belongs to no job: a broker that does not answer. */
  onProblem?: (problem: Error) => void;
}

/** What became of one job that was taken. */
export interface JobReport {
  readonly job: Job;
  readonly attempt: number;
  /** `lost`: its lease was over, and somebody else has it. */
  readonly as: Outcome['as'] | 'lost';
  /** With `retry` and `dead`. */
  readonly reason?: string;
  /** Since it was taken. */
  readonly workMs: number;
  /** Since it was made, by the producer's clock: how far the workers are behind. */
  readonly ageMs: number;
}

/** Characters of a reason: it is for people, and brokers keep little beside a job. */
const MAX_REASON = 500;
/** While the broker does not answer, it is asked again about so often. */
const RETRY_MS = 500;
/** At the end, for the broker to hear what became of the last jobs: else they come back when their leases are over. */
const FAREWELL_MS = 2_000;

/** Works until `signal` aborts, and resolves when nothing is in hand any more. `handlers`: by the kind of job. */
export async function work(
  queue: Queue,
  handlers: Readonly<Record<string, Handler>>,
  options: WorkOptions,
): Promise<void> {
  const { signal, concurrency = 100, leaseMs = 30_000, maxAttempts = 5, backoff = {}, graceMs = 5_000 } = options;
  const { onSettled, onProblem = () => {} } = options;
  const report = (attempt: Attempt, as: JobReport['as']) => onSettled?.(reportOf(attempt, as));
  using hands = new Hands(queue, { leaseMs, onSettled: report, onProblem });

  // #region attempt
  function start(attempt: Attempt): void {
    const { delivery } = attempt;
    const { job } = delivery;
    const done = () => hands.end(attempt, { delivery, as: 'done' });
    const failed = (error: unknown) => {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, MAX_REASON);
      if (delivery.attempt >= maxAttempts) hands.end(attempt, { delivery, as: 'dead', reason });
      else hands.end(attempt, { delivery, as: 'retry', delayMs: backoffMs(delivery.attempt, backoff), reason });
    };
    try {
      // A worker that dies of a job cannot say so: the count of deliveries does.
      if (delivery.attempt > maxAttempts) throw new Error('whoever had it was gone before it was done');
      // Perhaps a worker of a newer version knows what to do.
      if (!Object.hasOwn(handlers, job.kind)) throw new Error(`there is no handler for ${job.kind}`);
      const working = handlers[job.kind]!(job, attempt);
      if (working) void working.then(done, failed);
      else done();
    } catch (error) {
      failed(error);
    }
  }
  // #endregion

  async function take(): Promise<Delivery[]> {
    while (hands.size >= concurrency && !signal.aborted) await hands.changed();
    if (signal.aborted) return [];
    // Never more than a third: while one is worked on, another is being settled, and another on its way.
    const limit = Math.min(concurrency - hands.size, Math.ceil(concurrency / 3));
    try {
      return await queue.take({ limit, leaseMs, signal });
    } catch (error) {
      if (signal.aborted) return [];
      onProblem(error as Error);
      await pause(RETRY_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
      return [];
    }
  }

  // #region loop
  const wake = () => hands.wake();
  signal.addEventListener('abort', wake);
  let coming = take();
  while (!signal.aborted) {
    const attempts = (await coming).map((delivery) => hands.hold(delivery));
    coming = take();
    if (signal.aborted) giveBack(hands, attempts);
    else for (const attempt of attempts) start(attempt);
  }
  // #endregion

  // #region drain
  const late = (await coming).map((delivery) => hands.hold(delivery));
  giveBack(hands, late); // taken in the moment of the abort
  const outOfTime = setTimeout(() => giveBack(hands, hands.working()), graceMs);
  const farewell = setTimeout(() => hands[Symbol.dispose](), graceMs + FAREWELL_MS);
  while (hands.size > 0) await hands.changed();
  clearTimeout(outOfTime);
  clearTimeout(farewell);
  signal.removeEventListener('abort', wake);
  // #endregion
}

/** As if they had not been taken. Their handlers are told to stop; one that does not may do what somebody else does as well. */
function giveBack(hands: Hands, attempts: readonly Attempt[]): void {
  for (const attempt of attempts) {
    hands.end(attempt, { delivery: attempt.delivery, as: 'released' });
    attempt.abort(new Error('the worker stops'));
  }
}

function reportOf({ delivery, outcome, startedAt }: Attempt, as: JobReport['as']): JobReport {
  const { job, attempt } = delivery;
  const reason = outcome && 'reason' in outcome ? { reason: outcome.reason } : {};
  const [workMs, ageMs] = [performance.now() - startedAt, Date.now() - Date.parse(job.at)];
  return { job, attempt, as, ...reason, workMs, ageMs };
}
