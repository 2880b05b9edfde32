/** What to watch on an HTTP/2 server, in Prometheus's text format at `/metrics`. */
import { Counter, Gauge, Registry } from 'prom-client';

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics({ sessions }: { sessions: ReadonlySet<unknown> }) {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'http2_sessions',
    help: 'Sessions open now: connections that speak HTTP/2',
    registers,
    collect() {
      this.set(sessions.size);
    },
  });
  return {
    registry,
    openStreams: new Gauge({ name: 'http2_open_streams', help: 'Streams open now', registers }),
    streams: new Counter({ name: 'http2_streams_total', help: 'Streams begun', registers }),
    resets: new Counter({
      name: 'http2_stream_resets_total',
      help: 'Streams that ended before their time, by error code [RFC 9113 §7]',
      labelNames: ['code'] as const,
      registers,
    }),
    goaways: new Counter({
      name: 'http2_goaways_total',
      help: 'Sessions that were told to go, and why: one is told once, or was cut off',
      labelNames: ['reason'] as const,
      registers,
    }),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;

/** The error codes, in the order of their numbers [RFC 9113 §7]. */
const CODES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

/** "CANCEL" for 8. A peer may send any number: what has no name must not become a series of its own. */
export function codeName(code: number): string {
  return CODES[code] ?? 'other';
}
