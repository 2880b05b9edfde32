/**
 * What the servers of a benchmark of deliveries have in common: they also make the events, because their making costs all
 * contestants the same, and a third process would want a third core.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from './processes.ts';

export interface Contending {
  /** Where so many subscribers find it, one URL each. */
  addresses(count: number): string[] | Promise<string[]>;
  /** How many are there now. */
  streams(): number;
  /** Sends event `n` to all. `dueAt` (milliseconds since the epoch) goes with it, so that the receiver can tell the latency. */
  publish(n: number, dueAt: number): unknown;
}

const handlersFor = (contending: Contending) => {
  let n = 0;

  /**
   * Offers `rate` events a second, each in a callback of its own, as from so many senders, and makes up for what it is late:
   * then several fall into one pass of the event loop. A server that cannot keep up publishes fewer. An event's time is the
   * moment when it was due, so that what it has waited here is part of its latency.
   */
  async function publish({ rate, durationMs }: { rate: number; durationMs: number }): Promise<number> {
    const startedAt = performance.now();
    const published: unknown[] = [];
    while (performance.now() - startedAt < durationMs) {
      const dueAt = startedAt + (published.length * 1_000) / rate;
      const waitMs = dueAt - performance.now();
      if (waitMs > 0) await delay(waitMs);
      else await new Promise<void>((resolve) => process.nextTick(resolve));
      published.push(contending.publish(++n, performance.timeOrigin + dueAt));
    }
    await Promise.all(published);
    return published.length;
  }

  return {
    addresses: (count: number) => contending.addresses(count),
    streams: () => contending.streams(),
    publish,
  };
};
export type DeliveryServer = ReturnType<typeof handlersFor>;

/** Makes this process the server. */
export function answerAsServer(contending: Contending): void {
  answer(handlersFor(contending));
}
