/**
 * A small OpenTelemetry back end for the demo and the tests: it takes what the services export (OTLP over HTTP, as JSON), keeps the
 * spans by trace, and passes everything on to the real back end, if there is one. What it keeps is bounded, and gone when it ends.
 */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { listen } from '@patterns/kit/listen';
import express from 'express';
import { LRUCache } from 'lru-cache';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly service: string;
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** Why it failed. */
  readonly error: string | undefined;
}

export interface TraceCollector extends AsyncDisposable {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** What has come so far, by the time of its beginning. Each service sends twice a second. */
  spansOf(traceId: string): CollectedSpan[];
}

/** Traces that are kept: the latest. */
const MAX_TRACES = 2_000;

/** What belongs to the connection, and not to what is passed on. */
const OWN_HEADERS = ['host', 'connection', 'content-length', 'transfer-encoding', 'expect'];

/** Starts collecting. @param forwardTo an OTLP endpoint, without its path `/v1/traces` */
export async function startTraceCollector({
  forwardTo,
}: {
  forwardTo?: string | undefined;
} = {}): Promise<TraceCollector> {
  const traces = new LRUCache<string, Map<string, CollectedSpan>>({ max: MAX_TRACES });
  const forwarding = new Set<Promise<unknown>>();
  const forward = (body: Buffer, headers: IncomingHttpHeaders) => {
    // The services have been told with which headers it wants to be asked.
    const kept = Object.entries(headers).filter(([name]) => !OWN_HEADERS.includes(name)) as [string, string][];
    const sent = fetch(`${forwardTo}/v1/traces`, {
      method: 'POST',
      headers: kept,
      body,
      signal: AbortSignal.timeout(5_000),
    })
      .then((response) => response.body?.cancel())
      .catch(() => {}) // it is away: nobody here waits for it
      .finally(() => forwarding.delete(sent));
    forwarding.add(sent);
  };

  const app = express();
  app.post('/v1/traces', express.raw({ type: () => true, limit: '10mb' }), (request, response) => {
    for (const span of readSpans(JSON.parse(request.body.toString()))) {
      const trace = traces.get(span.traceId) ?? new Map<string, CollectedSpan>();
      traces.set(span.traceId, trace.set(span.spanId, span)); // a batch that was sent twice is one
    }
    if (forwardTo) forward(request.body, request.headers);
    response.json({});
  });
  const listening = await listen(createServer(app), { graceMs: 1_000 });
  return {
    url: listening.url,
    spansOf: (traceId) => [...(traces.get(traceId)?.values() ?? [])].sort((a, b) => a.startedAt - b.startedAt),
    async [Symbol.asyncDispose]() {
      await listening.close();
      await Promise.all(forwarding);
    },
  };
}

/** The part of ExportTraceServiceRequest that is shown here. */
interface Export {
  resourceSpans?: {
    resource?: { attributes?: { key: string; value: { stringValue?: string } }[] };
    scopeSpans?: { spans?: OtlpSpan[] }[];
  }[];
}

interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status?: { code?: number; message?: string };
}

const ERROR = 2;

function readSpans({ resourceSpans = [] }: Export): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const service = resource?.attributes?.find(({ key }) => key === 'service.name')?.value.stringValue ?? 'unknown';
    return scopeSpans.flatMap(({ spans = [] }) =>
      spans.map(({ traceId, spanId, parentSpanId, name, status, ...span }) => ({
        traceId,
        spanId,
        parentId: parentSpanId || undefined,
        service,
        name,
        startedAt: Number(span.startTimeUnixNano) / 1e6,
        endedAt: Number(span.endTimeUnixNano) / 1e6,
        error: status?.code === ERROR ? (status.message ?? 'failed') : undefined,
      })),
    );
  });
}
