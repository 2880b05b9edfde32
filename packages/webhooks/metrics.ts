/**
 * What to watch, in Prometheus's text format at `/metrics`: read from the tables, so it is the same whichever dispatcher did the
 * work. Alert on the age of the oldest delivery: it grows when nothing is dispatched, whatever the reason, and nothing fails.
 */
import type { Pool } from 'pg';
import { Gauge, Registry } from 'prom-client';
import { listEndpoints } from './endpoints.ts';

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics(pool: Pool): Registry {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[] = ['endpoint']) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const attempts = gauge('webhook_attempts_total', 'Attempts so far', ['endpoint', 'outcome']);
  const successRate = gauge('webhook_success_ratio', 'The share of attempts that succeeded');
  const deliveries = gauge('webhook_deliveries', 'Deliveries to come, and those given up', ['endpoint', 'state']);
  const enabled = gauge('webhook_endpoint_enabled', '1, or 0 when it is disabled');
  new Gauge({
    name: 'webhook_oldest_undelivered_seconds',
    help: 'How long the oldest event that waits for its delivery has waited',
    registers: [registry],
    async collect() {
      for (const metric of [attempts, successRate, deliveries, enabled]) metric.reset(); // endpoints come and go
      for (const { id: endpoint, ...seen } of await listEndpoints(pool)) {
        attempts.set({ endpoint, outcome: 'succeeded' }, seen.succeeded);
        attempts.set({ endpoint, outcome: 'failed' }, seen.failed);
        if (seen.successRate !== null) successRate.set({ endpoint }, seen.successRate);
        deliveries.set({ endpoint, state: 'pending' }, seen.pending);
        deliveries.set({ endpoint, state: 'dead' }, seen.dead);
        enabled.set({ endpoint }, seen.isEnabled ? 1 : 0);
      }
      this.set(await oldestSeconds(pool));
    },
  });
  return registry;
}

/** Of events without deliveries too: they wait for a dispatcher. */
async function oldestSeconds(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ seconds: number }>(
    `select coalesce(extract(epoch from now() - min(at)), 0)::float8 as seconds from provider.events
      where not is_fanned_out or id in (select event from provider.deliveries where state = 'pending')`,
  );
  return rows[0]!.seconds;
}
