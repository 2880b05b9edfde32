/** What to watch on a server of connections, in Prometheus's text format at `/metrics`. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Connections } from './connections.ts';

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics(connections: Connections) {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'ws_open_connections',
    help: 'Connections open now',
    registers,
    collect() {
      this.set(connections.open.size);
    },
  });
  new Gauge({
    name: 'ws_buffered_bytes',
    help: 'Bytes that wait for slow peers now',
    registers,
    collect() {
      this.set(connections.bufferedBytes);
    },
  });
  return {
    registry,
    connects: new Counter({
      name: 'ws_connects_total',
      help: 'Connections begun: new ones, resumed ones, and those whose cursor had expired',
      labelNames: ['kind'] as const,
      registers,
    }),
    refused: new Counter({
      name: 'ws_refused_total',
      help: 'Handshakes refused, by status',
      labelNames: ['status'] as const,
      registers,
    }),
    closes: new Counter({
      name: 'ws_closes_total',
      help: 'Connections ended, by close code; 1006 is a connection that ended without a close frame',
      labelNames: ['code'] as const,
      registers,
    }),
    cutOff: new Counter({
      name: 'ws_cut_off_total',
      help: 'Connections cut off: their peer was too slow, or silent',
      labelNames: ['reason'] as const,
      registers,
    }),
    roundTrip: new Histogram({
      name: 'ws_ping_seconds',
      help: 'From a ping to its pong',
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    }),
  };
}
