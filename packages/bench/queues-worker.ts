/** The worker of the queues benchmark, in a process of its own: `queues-worker.ts <contestant> <url>`. Its jobs do nothing. */
import { answer } from './processes.ts';
import { CONTESTANTS, type ContestantName } from './queues-contestants.ts';
import { percentile } from './results.ts';

const [name, url] = process.argv.slice(2) as [ContestantName, string];
const contestant = await CONTESTANTS[name](url);
let latenciesMs: number[] = [];
let handled = 0;
let onHandled = () => {};

function handle({ due, text }: { due: number; text: string }): void {
  if (text.length !== 120) throw new Error('not the job that was put there');
  handled++;
  latenciesMs.push(performance.timeOrigin + performance.now() - due);
  onHandled();
}

/** Resolves when so many jobs have been handled since the last time that somebody asked. */
async function until(count: number): Promise<void> {
  if (handled < count) {
    const reached = Promise.withResolvers<void>();
    onHandled = () => handled >= count && reached.resolve();
    await reached.promise;
    onHandled = () => {};
  }
}

const handlers = {
  /**
   * Works off a backlog, and measures in the middle of it: from one job to the one that comes `count` jobs later. What it costs to
   * settle jobs is in it, since none of the contestants goes on for long without having settled what it has.
   */
  async drain({ warmUp, count, rest }: { warmUp: number; count: number; rest: number }) {
    let [cpu, startedAt] = [process.cpuUsage(), performance.now()];
    const figures = Promise.withResolvers<{ cpuMicros: number; rate: number }>();
    onHandled = () => {
      if (handled === warmUp) [cpu, startedAt] = [process.cpuUsage(), performance.now()];
      if (handled !== warmUp + count) return;
      const seconds = (performance.now() - startedAt) / 1_000;
      const { user, system } = process.cpuUsage(cpu);
      figures.resolve({ cpuMicros: (user + system) / count, rate: count / seconds });
    };
    await contestant.work(handle);
    const measured = await figures.promise;
    await until(warmUp + count + rest);
    [handled, latenciesMs] = [0, []];
    return measured;
  },

  /** How long jobs took from when they were due to their handler. */
  async heard({ jobs }: { jobs: number }) {
    await until(jobs);
    const figures = { p50Ms: percentile(latenciesMs, 0.5), p99Ms: percentile(latenciesMs, 0.99) };
    [handled, latenciesMs] = [0, []];
    return figures;
  },
};
export type QueueWorker = typeof handlers;
answer(handlers);
