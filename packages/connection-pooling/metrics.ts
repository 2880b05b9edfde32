/** What to watch on a pool, in Prometheus's text format at `/metrics`. Alert on `pool_waiting`: it rises before anything fails. */
import type { Log } from '@patterns/kit/log';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Database, PoolObserver } from './database.ts';

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics(database: () => Database, log: Log) {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, value: (counts: Database['counts']) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value(database().counts));
      },
    });
  gauge('pool_clients', 'Connections open or being opened', ({ total }) => total);
  gauge('pool_idle', 'Connections that nobody uses now', ({ idle }) => idle);
  gauge('pool_waiting', 'Callers that wait for a client now', ({ waiting }) => waiting);
  new Gauge({
    name: 'pool_size',
    help: 'Connections at most',
    registers,
    collect() {
      this.set(database().size);
    },
  });
  const acquireSeconds = new Histogram({
    name: 'pool_acquire_seconds',
    help: 'Time from asking for a client to having it',
    // From an idle client (microseconds) over a new connection (milliseconds) to the timeout (seconds).
    buckets: [0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5],
    registers,
  });
  const failures = new Counter({
    name: 'pool_acquire_failures_total',
    help: 'Clients that were not to be had, by reason',
    labelNames: ['code'] as const,
    registers,
  });
  const idleErrors = new Counter({
    name: 'pool_idle_errors_total',
    help: 'Connections that broke while nobody used them',
    registers,
  });
  const longCheckouts = new Counter({
    name: 'pool_long_checkouts_total',
    help: 'Clients that were kept too long; the log names the place',
    registers,
  });

  const observer: PoolObserver = {
    acquired: (waitedMs) => acquireSeconds.observe(waitedMs / 1_000),
    failed({ code, message }) {
      failures.inc({ code });
      log.warn('no client', { code, reason: message });
    },
    idleError(error) {
      idleErrors.inc();
      log.warn('an idle connection broke', { reason: error.message });
    },
    longCheckout(checkout) {
      longCheckouts.inc();
      log.warn('a client is kept too long', checkout);
    },
  };
  return { registry, observer };
}
