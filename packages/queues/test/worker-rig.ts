/** A worker on a queue of the test's own, whose reports can be waited for. */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { type Job, newJob } from '../job.ts';
import type { Queue } from '../queue.ts';
import { type Handler, type JobReport, type WorkOptions, work } from '../work.ts';

export interface RunningWorker extends AsyncDisposable {
  reports: EventQueue<JobReport>;
  problems: EventQueue<Error>;
  /** Aborts its signal, and resolves when it has ended. */
  stop(): Promise<void>;
}

/** All jobs are of the kind `test`, unless there are other handlers. */
export function startWorker(
  queue: Queue,
  handler: Handler | Record<string, Handler>,
  options: Partial<WorkOptions> = {},
): RunningWorker {
  const [reports, problems] = [new EventQueue<JobReport>(), new EventQueue<Error>()];
  const stopping = new AbortController();
  const working = work(queue, typeof handler === 'function' ? { test: handler } : handler, {
    signal: stopping.signal,
    backoff: { baseMs: 1 },
    onSettled: (report) => reports.push(report),
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  const stop = () => {
    stopping.abort();
    return working;
  };
  return { reports, problems, stop, [Symbol.asyncDispose]: stop };
}

export const jobs = (count: number): Job[] =>
  Array.from({ length: count }, (_, n) => newJob({ kind: 'test', data: n }));
