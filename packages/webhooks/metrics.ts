/**
 * What to watch, in Prometheus's text format at `/metrics`: read from the tables, so it is the same whichever dispatcher did the
 * work. Alert on the age of the oldest delivery: it grows when nothing is dispatched, whatever the reason, and nothing fails.
 */
import type { Pool } from 'pg';
import { Gauge, Registry } from 'prom-client';
import { listEndpoints } from './endpoints.ts';

export interface Metrics {
  readonly contentType: string;
  /** The text, from what the tables say now. */
  read(): Promise<string>;
}

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics(pool: Pool): Metrics {
  const registry = new Registry();
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name: `webhook_${name}`, help, labelNames, registers: [registry] });
  const attempts = gauge('attempts_total', 'Attempts so far', 'endpoint', 'outcome');
  const successRate = gauge('success_ratio', 'The share of attempts that succeeded', 'endpoint');
  const deliveries = gauge('deliveries', 'Deliveries to come, and those given up', 'endpoint', 'state');
  const enabled = gauge('endpoint_enabled', '1, or 0 when it is disabled', 'endpoint');
  const oldest = gauge(
    'oldest_undelivered_seconds',
    'How long the oldest event that waits for its delivery has waited',
  );
  return {
    contentType: registry.contentType,
    async read() {
      const [endpoints, oldestSeconds] = await Promise.all([listEndpoints(pool), oldestUndelivered(pool)]);
      registry.resetMetrics(); // endpoints come and go
      oldest.set(oldestSeconds);
      for (const { id: endpoint, ...seen } of endpoints) {
        attempts.set({ endpoint, outcome: 'succeeded' }, seen.succeeded);
        attempts.set({ endpoint, outcome: 'failed' }, seen.failed);
        if (seen.successRate !== null) successRate.set({ endpoint }, seen.successRate);
        deliveries.set({ endpoint, state: 'pending' }, seen.pending);
        deliveries.set({ endpoint, state: 'dead' }, seen.dead);
        enabled.set({ endpoint }, seen.isEnabled ? 1 : 0);
      }
      return registry.metrics();
    },
  };
}

/** Of events without deliveries too: they wait for a dispatcher. */
async function oldestUndelivered(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ seconds: number }>(
    `select coalesce(extract(epoch from now() - min(at)), 0)::float8 as seconds from provider.events
      where position is null or id in (select event from provider.deliveries where state = 'pending')`,
  );
  return rows[0]!.seconds;
}
