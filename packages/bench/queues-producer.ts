/** The producer of the queues benchmark, in a process of its own: for one contestant after the other. */
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from './processes.ts';
import type { Contestant } from './queues-contestant.ts';
import { CONTESTANTS, type ContestantName } from './queues-contestants.ts';

let contestant: Contestant;

/** Jobs in one call: bigger ones gain nothing. */
const AT_ONCE = 1_000;

const handlers = {
  async fill({ name, url, jobs }: { name: ContestantName; url: string; jobs: number }): Promise<void> {
    contestant = await CONTESTANTS[name](url);
    for (let left = jobs; left > 0; left -= AT_ONCE) {
      await contestant.enqueue(Array.from({ length: Math.min(left, AT_ONCE) }, () => performance.now()));
    }
  },

  /** Jobs at random times, `rate` a second on average, whether the queue has the earlier ones or not. Returns how many. */
  async paced({ rate, durationMs }: { rate: number; durationMs: number }): Promise<number> {
    const startedAt = performance.now();
    const enqueued: Promise<void>[] = [];
    let dueAt = startedAt;
    while (dueAt < startedAt + durationMs) {
      const earlyMs = dueAt - performance.now();
      if (earlyMs > 0) await delay(earlyMs);
      enqueued.push(contestant.enqueue([performance.timeOrigin + dueAt]));
      dueAt += (-Math.log(1 - Math.random()) / rate) * 1_000;
    }
    await Promise.all(enqueued);
    return enqueued.length;
  },

  close: () => contestant[Symbol.asyncDispose](),
};
export type QueueProducer = typeof handlers;
answer(handlers);
