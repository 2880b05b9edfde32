/** What to watch on a server that remembers, in Prometheus's text format at `/metrics`. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { RedisSessionStore } from './session-store.ts';

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    sessionEvents: new Counter({
      name: 'session_events_total',
      help: 'Sessions begun (each with a new id) and ended on request',
      labelNames: ['event'] as const,
      registers,
    }),
    logins: new Counter({
      name: 'logins_total',
      help: 'Tries to log in: right, wrong, or limited because of too many tries',
      labelNames: ['outcome'] as const,
      registers,
    }),
    hashes: new Counter({
      name: 'password_hashes_total',
      help: 'Password digests computed: 19 MiB and a thread each',
      registers,
    }),
    storeSeconds: new Histogram({
      name: 'session_store_seconds',
      help: 'How long Redis took, as seen from here, for each command of the session store',
      labelNames: ['command'] as const,
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1],
      registers,
    }),
    storeErrors: new Counter({
      name: 'session_store_errors_total',
      help: 'Commands of the session store that Redis did not answer',
      labelNames: ['command'] as const,
      registers,
    }),
    /** Has the number of sessions asked for at each look. */
    watchSessions(store: RedisSessionStore): void {
      const gauge: Gauge = new Gauge({
        name: 'sessions',
        help: 'Sessions that are not over, of all servers; absent while Redis is away',
        registers,
        async collect() {
          await store.count().then(
            (sessions) => gauge.set(sessions),
            () => gauge.remove(),
          );
        },
      });
    },
  };
}
