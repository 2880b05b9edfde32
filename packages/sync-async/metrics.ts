/**
 * What to watch, in Prometheus's text format at `/metrics`. The event loop first: it is what everybody on a server shares, and
 * processor time alone does not tell whether one request has it for a second, or a thousand have it for a millisecond each.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { Counter, Gauge, Registry } from 'prom-client';
import type { ReportPool } from './pool.ts';

/** How often the loop is looked at. What it is late by is more than this, or is not seen. */
const RESOLUTION_MS = 10;

// #region loop
/**
 * Watches this process's event loop. Both figures are of the time since they were last read, so there should be one reader.
 *  - delay: how late a timer was that should fire every 10 ms. While the loop is blocked nobody notices; afterwards it shows.
 *  - utilization: the share of time, 0 to 1, in which it was not waiting for something to do.
 */
export function watchEventLoop(): { registry: Registry } & Disposable {
  const registry = new Registry();
  const registers = [registry];
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let last = performance.eventLoopUtilization();
  new Gauge({
    name: 'event_loop_delay_seconds',
    help: 'How late the event loop was since the last reading',
    labelNames: ['quantile'] as const,
    registers,
    async collect() {
      // What was recorded are intervals, of which the timer's own belongs to the timer.
      const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS) / 1_000;
      this.set({ quantile: '0.99' }, late(delay.percentile(99)));
      this.set({ quantile: '1' }, late(delay.max));
      delay.reset();
      // From here it measures only after two ticks (the first one but notes the time), and would not see what blocks the loop
      // sooner: the reader is answered when it does.
      while (delay.count === 0) await setTimeout(1);
    },
  });
  new Gauge({
    name: 'event_loop_utilization',
    help: 'Share of the time in which the event loop was busy, since the last reading',
    registers,
    collect() {
      const now = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  });
  return { registry, [Symbol.dispose]: () => void delay.disable() };
}
// #endregion

/** Adds what a pool and the table of jobs can tell. */
export function watchReports(
  registry: Registry,
  pool: ReportPool,
  countPending: () => Promise<{ queued: number; running: number }>,
): void {
  const registers = [registry];
  new Gauge({
    name: 'pool_reports',
    help: 'Reports by phone: being computed, and waiting for a thread',
    labelNames: ['state'] as const,
    registers,
    collect() {
      this.set({ state: 'running' }, pool.running);
      this.set({ state: 'queued' }, pool.queued);
    },
  });
  new Counter({
    name: 'pool_reports_ended_total',
    help: 'Reports by phone, by how they ended',
    labelNames: ['how'] as const,
    registers,
    collect() {
      this.reset(); // the pool has counted already
      for (const [how, count] of Object.entries(pool.ended)) this.inc({ how }, count);
    },
  });
  new Gauge({
    name: 'job_reports',
    help: 'Accepted reports that are not finished, of all servers',
    labelNames: ['state'] as const,
    registers,
    async collect() {
      const { queued, running } = await countPending();
      this.set({ state: 'queued' }, queued);
      this.set({ state: 'running' }, running);
    },
  });
}
