/**
 * Spans: how long each hop took, and which hop it was called by. Put together by their ids they are the tree of one order.
 *
 * The ids are those of the `traceparent` that is sent on (kit/trace): whoever makes one records a span for it, or the tree has a
 * hole there. Without an exporter (span-export.ts) a span is thrown away when it ends, and costs a few microseconds.
 */
import type { ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { continueTrace, type Trace, toTraceparent, traceOf } from '@patterns/kit/trace';

export type SpanKind = 'server' | 'client' | 'producer' | 'consumer';
export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  kind: SpanKind;
  /** The `traceparent` of whoever asked. Undefined: a trace begins here. */
  parent?: string | undefined;
  attributes?: Attributes;
  /** The ids, where somebody has drawn them already; then `parent` does not count. */
  trace?: Trace;
}

export interface Span {
  /** May become clearer while it lasts: which route it is shows later than that there is a request. */
  name: string;
  readonly traceId: string;
  /** To be sent along, to whoever is asked because of it. */
  readonly traceparent: string;
  set(name: string, value: string | number | boolean): void;
  /** It is over; later ends do nothing. `error`: it failed, and why. */
  end(error?: unknown): void;
}

export interface EndedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly trace: Trace;
  /** Milliseconds since the epoch, with fractions. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Attributes;
  readonly error?: string;
}

let record: ((span: EndedSpan) => void) | undefined;

/** Has every span of this process go to `recorder` when it ends; undefined: nowhere. */
export function recordSpans(recorder: typeof record): void {
  record = recorder;
}

/** The wall clock, with fractions, and never backwards. */
const now = () => performance.timeOrigin + performance.now();

/** Begins a span now. */
export function startSpan(
  name: string,
  { kind, parent, attributes, trace = continueTrace(parent) }: SpanOptions,
): Span {
  const startedAt = now();
  const set: Record<string, string | number | boolean> = { ...attributes };
  let isOver = false;
  return {
    name,
    traceId: trace.traceId,
    traceparent: toTraceparent(trace),
    set(key, value) {
      set[key] = value;
    },
    end(error) {
      if (isOver) return;
      isOver = true;
      if (!record || !trace.sampled) return;
      const failure = error === undefined ? {} : { error: error instanceof Error ? error.message : inspect(error) };
      record({ name: this.name, kind, trace, startedAt, endedAt: now(), attributes: set, ...failure });
    },
  };
}

const spans = new WeakMap<ServerResponse, Span>();

/** The span of the request that this response answers: begun when it is first asked for, over when the response is. */
export function spanOf(response: ServerResponse): Span {
  let span = spans.get(response);
  if (!span) {
    span = startSpan(response.req.method ?? 'request', { kind: 'server', trace: traceOf(response) });
    spans.set(response, span);
  }
  return span;
}
