/** A worker on a queue of the test's own, whose reports can be waited for. */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { type Job, newJob } from '../job.ts';
import type { Delivery, Outcome, Queue } from '../queue.ts';
import { type Handler, type JobReport, type WorkOptions, work } from '../work.ts';

export interface RunningWorker extends AsyncDisposable {
  /** The jobs that its handlers were given. */
  begun: EventQueue<Job>;
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
  const [begun, reports, problems] = [new EventQueue<Job>(), new EventQueue<JobReport>(), new EventQueue<Error>()];
  const handlers = Object.entries(typeof handler === 'function' ? { test: handler } : handler).map(
    ([kind, handle]): [string, Handler] => [
      kind,
      (job, context) => {
        begun.push(job);
        return handle(job, context);
      },
    ],
  );
  const stopping = new AbortController();
  const working = work(queue, Object.fromEntries(handlers), {
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
  return { begun, reports, problems, stop, [Symbol.asyncDispose]: stop };
}

export const jobs = (count: number): Job[] =>
  Array.from({ length: count }, (_, n) => newJob({ kind: 'test', data: n }));

/** The same queue, where somebody looks at each settling. */
export function settlingBy(queue: Queue, settle: (outcomes: readonly Outcome[]) => Promise<Delivery[]>): Queue {
  const methodOf = (name: string | symbol) => {
    const value: unknown = Reflect.get(queue, name);
    return typeof value === 'function' ? value.bind(queue) : value;
  };
  return new Proxy(queue, { get: (_, name) => (name === 'settle' ? settle : methodOf(name)) });
}
