/** Our worker on one of our queues: leases with heartbeats, attempts, backoff and dead letters are on, as by default. */
import { newJob } from '@patterns/queues/job';
import type { Queue } from '@patterns/queues/queue';
import { work } from '@patterns/queues/work';
import { type Contestant, giveUp, MAX_ATTEMPTS, type Payload, payload } from './queues-contestant.ts';

/** Jobs do nothing, so many fit into a worker, and a third of them into one answer. */
export const OUR_CONCURRENCY = 1_000;

export function oursOn(queue: Queue): Contestant {
  return {
    enqueue: (dues) => queue.enqueue(dues.map((due) => newJob({ kind: 'noop', data: payload(due) }))),
    async work(handle) {
      const noop = ({ data }: { data: unknown }) => handle(data as Payload);
      const { signal } = new AbortController();
      const options = { signal, concurrency: OUR_CONCURRENCY, maxAttempts: MAX_ATTEMPTS, onProblem: giveUp };
      void work(queue, { noop }, options).catch(giveUp);
    },
    [Symbol.asyncDispose]: () => queue[Symbol.asyncDispose](),
  };
}
