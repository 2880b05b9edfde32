/** What to watch on a server of streams, in Prometheus's text format at `/metrics`. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { Streams } from './backpressure.ts';

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics(streams: Streams) {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'sse_open_streams',
    help: 'Streams open now',
    registers,
    collect() {
      this.set(streams.open.size);
    },
  });
  new Gauge({
    name: 'sse_buffered_bytes',
    help: 'Bytes that wait for slow readers now',
    registers,
    collect() {
      this.set(streams.bufferedBytes);
    },
  });
  return {
    registry,
    connects: new Counter({
      name: 'sse_connects_total',
      help: 'Streams begun: new ones, resumed ones, and those whose cursor had expired',
      labelNames: ['kind'] as const,
      registers,
    }),
    cutOff: new Counter({
      name: 'sse_cut_off_total',
      help: 'Streams cut off because their reader was too slow',
      registers,
    }),
    refused: new Counter({
      name: 'sse_refused_total',
      help: 'Requests refused because too many streams were open',
      registers,
    }),
  };
}
