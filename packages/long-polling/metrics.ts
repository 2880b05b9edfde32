/** What to watch on a server of parked requests, in Prometheus's text format at `/metrics`. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Outcome } from './parked.ts';

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry per server, so that two servers in one process do not share their numbers. `parked` says how many wait. */
export function createMetrics(parked: () => number) {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'long_polling_parked',
    help: 'Requests that wait now',
    registers,
    collect() {
      this.set(parked());
    },
  });
  const ended: Record<Outcome, number> = { delivered: 0, timeout: 0, left: 0, replaced: 0, shutdown: 0, failed: 0 };
  // Handed over when somebody looks: a label, looked up for each wake-up, would cost more than the rest of its bookkeeping.
  new Counter({
    name: 'long_polling_ended_total',
    help: 'Waitings that are over, by what ended them; left: the client went away',
    labelNames: ['outcome'] as const,
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(ended)) this.inc({ outcome }, count);
    },
  });
  const hold = new Histogram({
    name: 'long_polling_hold_seconds',
    help: 'How long requests were parked',
    buckets: [0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 30],
    registers,
  });
  const wakeUp = new Histogram({
    name: 'long_polling_wake_up_seconds',
    help: 'From the arrival of updates at this process to the last answer with them',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1],
    registers,
  });
  return {
    registry,
    held(outcome: Outcome, milliseconds: number): void {
      ended[outcome]++;
      hold.observe(milliseconds / 1_000);
    },
    wokenAfter: (milliseconds: number) => wakeUp.observe(milliseconds / 1_000),
    refused: new Counter({
      name: 'long_polling_refused_total',
      help: 'Requests refused because too many were waiting',
      registers,
    }),
  };
}
