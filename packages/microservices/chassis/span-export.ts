/**
 * Sends spans to an OpenTelemetry back end: OTLP over HTTP, as JSON, to OTEL_EXPORTER_OTLP_ENDPOINT (and the other variables of that
 * name, such as the headers with which a hosted one wants to be asked).
 *
 * Batches, retries and the protocol are the SDK's. The ids are ours, since jobs and events carry them through tables and brokers,
 * where no context of an SDK follows: so a span is handed over when it is over, as what the SDK calls a ReadableSpan.
 */
import { type HrTime, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace';
import type { Log } from '@patterns/kit/log';
import { type EndedSpan, recordSpans } from './spans.ts';

/** Soon enough that a person who looks finds it. */
const BATCH_MS = 500;
/** A back end that is away holds nobody up for longer, the end of the process included. */
const EXPORT_MS = 2_000;

export interface SpanExportOptions {
  service: string;
  log: Log;
  /** Spans that are over already. */
  waiting?: readonly EndedSpan[];
}

/** Exports the spans of this process from now on. Disposed, it has sent what it had, if it was taken. */
export function exportSpans({ service, log, waiting = [] }: SpanExportOptions): AsyncDisposable {
  const exporter = new OTLPTraceExporter({ timeoutMillis: EXPORT_MS });
  const processor = new BatchSpanProcessor({ exporter, scheduledDelayMillis: BATCH_MS });
  const resource = resourceFromAttributes({ 'service.name': service, 'process.pid': process.pid });
  const send = (span: EndedSpan) => processor.onEnd(readable(span, resource));
  for (const span of waiting) send(span);
  recordSpans(send);
  return {
    async [Symbol.asyncDispose]() {
      recordSpans(undefined);
      await processor.shutdown().catch((error) => void log.warn('spans are lost', { reason: String(error) }));
    },
  };
}

// #region readable
const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

function readable(
  { name, kind, trace, attributes, error, ...span }: EndedSpan,
  resource: ReadableSpan['resource'],
): ReadableSpan {
  const { traceId, parentId } = trace;
  const context = (spanId: string): SpanContext => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED });
  return {
    name,
    kind: KINDS[kind],
    spanContext: () => context(trace.spanId),
    ...(parentId ? { parentSpanContext: { ...context(parentId), isRemote: true } } : {}),
    startTime: hrTime(span.startedAt),
    endTime: hrTime(span.endedAt),
    duration: hrTime(span.endedAt - span.startedAt),
    ended: true,
    status: error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
    attributes: { ...attributes },
    links: [],
    events: [],
    resource,
    instrumentationScope: { name: 'patterns' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}
// #endregion

/** Seconds and nanoseconds. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}
