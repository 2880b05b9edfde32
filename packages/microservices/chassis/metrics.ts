/** What to watch on a service: rate, errors and duration of its requests (RED), by route, as Prometheus reads it at `/metrics`. */
import { Gauge, Histogram, Registry } from 'prom-client';
import type { Dependency } from './dependency.ts';

export interface Metrics {
  readonly registry: Registry;
  readonly requests: Histogram<'method' | 'route' | 'status'>;
  /** Shows whether its breaker is open. */
  watch(dependency: Dependency): void;
}

/** A registry per service, so that two in one process do not share their numbers. */
export function createMetrics(service: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  const registers = [registry];
  const requests = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of its answer',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  const watched = new Set<Dependency>();
  new Gauge({
    name: 'dependency_breaker_open',
    help: '1 while calls are refused at once, 0.5 while one is trying',
    labelNames: ['dependency'] as const,
    registers,
    collect() {
      for (const { name, state } of watched)
        this.set({ dependency: name }, { open: 1, 'half-open': 0.5, closed: 0 }[state]);
    },
  });
  return { registry, requests, watch: (dependency) => void watched.add(dependency) };
}
