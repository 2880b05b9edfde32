/** What to watch on a proxy that folds many streams into few connections: how full they are, and what waiting for one costs. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Backend } from './upstream-backend.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** Adds them to `registry`. `upstream` is asked when they are read. */
export function createProxyMetrics(registry: Registry, upstream: () => UpstreamPool) {
  const registers = [registry];
  const perBackend = (name: string, help: string, value: (backend: Backend) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['backend'] as const,
      registers,
      collect() {
        for (const backend of upstream().backends) this.set({ backend: backend.url }, value(backend));
      },
    });
  perBackend('proxy_upstream_sockets', 'Connections to a backend, open now', ({ sockets }) => sockets);
  perBackend('proxy_upstream_busy', 'Those of them that carry a request', ({ busy }) => busy);
  perBackend('proxy_upstream_ejected', '1 while a backend is left out', ({ isEjected }) => Number(isEjected));
  new Gauge({
    name: 'proxy_queue_length',
    help: 'Requests that wait for a connection now',
    registers,
    collect() {
      this.set(upstream().queued);
    },
  });
  return {
    queueWait: new Histogram({
      name: 'proxy_queue_wait_seconds',
      help: 'How long requests have waited for a connection, in vain or not',
      buckets: [0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    failures: new Counter({
      name: 'proxy_failures_total',
      help: "Answers that are the proxy's own: 400 and 408 for clients, 502 and 504 for backends, 503 for the queue",
      labelNames: ['status'] as const,
      registers,
    }),
  };
}
