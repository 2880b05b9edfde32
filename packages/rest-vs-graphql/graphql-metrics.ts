/** What HTTP's own numbers (metrics.ts) do not tell of a server on which every question has the same path and most answers are a 200. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export function addGraphqlMetrics(registry: Registry, openStreams: () => number) {
  const registers = [registry];
  const refused = new Counter({
    name: 'graphql_refused_total',
    help: 'Operations that were not executed, by code: documents that are wrong, too complex, too costly',
    labelNames: ['code'] as const,
    registers,
  });
  const cost = new Histogram({
    name: 'graphql_cost',
    help: 'What operations cost that were admitted: where to put the limit',
    buckets: [1, 10, 50, 100, 250, 500, 1_000],
    registers,
  });
  new Gauge({
    name: 'graphql_streams',
    help: 'Subscriptions that are open now',
    registers,
    collect() {
      this.set(openStreams());
    },
  });
  return { refused, cost };
}
