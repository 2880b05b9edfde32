import { within } from '@patterns/kit/testing/until';
import { afterEach, expect, test } from 'vitest';
import { exportSpans } from '../chassis/span-export.ts';
import { type EndedSpan, recordSpans, startSpan } from '../chassis/spans.ts';
import { type CollectedSpan, startTraceCollector } from '../trace-collector.ts';
import { missingParents, traceTree } from '../trace-tree.ts';
import { log, startNeighbour } from './stage.ts';

afterEach(() => delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT);

test('spans reach an OpenTelemetry back end as they were, at the latest when the process ends', async () => {
  await using collector = await startTraceCollector();
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url;
  const exporting = exportSpans({ service: 'order', log });
  const asked = startSpan('POST /orders', { kind: 'server', parent: undefined });
  const asking = startSpan('POST payment', { kind: 'client', parent: asked.traceparent });
  asking.end(new Error('timeout'));
  asked.end();
  expect(collector.spansOf(asked.traceId)).toEqual([]);
  await exporting[Symbol.asyncDispose]();
  const [parent, child] = collector.spansOf(asked.traceId);
  expect(parent).toMatchObject({ service: 'order', name: 'POST /orders', parentId: undefined, error: undefined });
  expect(child).toMatchObject({ name: 'POST payment', parentId: parent!.spanId, error: 'timeout' });
  expect(asked.traceparent).toBe(`00-${parent!.traceId}-${parent!.spanId}-01`);
  expect(parent!.startedAt).toBeLessThanOrEqual(child!.startedAt);
  expect(Math.abs(Date.now() - parent!.endedAt)).toBeLessThan(60_000);
});

test('what was over before the exporter was there is sent as well', async () => {
  await using collector = await startTraceCollector();
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url;
  const waiting: EndedSpan[] = [];
  recordSpans((span) => void waiting.push(span));
  const span = startSpan('handle orders', { kind: 'consumer', parent: undefined });
  span.end();
  await exportSpans({ service: 'kitchen', log, waiting })[Symbol.asyncDispose]();
  expect(collector.spansOf(span.traceId)).toMatchObject([{ service: 'kitchen', name: 'handle orders' }]);
});

test('a trace that its caller does not want is not exported', async () => {
  await using collector = await startTraceCollector();
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url;
  const exporting = exportSpans({ service: 'order', log });
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
  const span = startSpan('POST /orders', { kind: 'server', parent });
  span.end();
  await exporting[Symbol.asyncDispose]();
  expect(collector.spansOf(span.traceId)).toEqual([]);
});

test('a back end that hangs keeps no process from ending', async () => {
  await using backend = await startNeighbour(() => {});
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = backend.url;
  const exporting = exportSpans({ service: 'order', log });
  startSpan('POST /orders', { kind: 'server', parent: undefined }).end();
  // Eight seconds is what a process gives itself (kit/main).
  await within('it is over', 7_000, Promise.resolve(exporting[Symbol.asyncDispose]()));
  expect(backend.requests).toHaveLength(1);
});

const span = (spanId: string, parentId: string | undefined, startedAt: number, name = spanId): CollectedSpan => ({
  traceId: 't',
  spanId,
  parentId,
  service: 'order',
  name,
  startedAt,
  endedAt: startedAt + 2.5,
  error: undefined,
});

test('the tree shows who asked whom, when, and how long it took', () => {
  const spans = [
    span('b', 'a', 110),
    span('a', undefined, 100),
    { ...span('c', 'a', 105), error: 'timeout' },
    span('d', 'c', 106),
    span('e', 'a', 120, 'push'),
    span('f', 'a', 130, 'push'),
  ];
  expect(traceTree(spans)).toEqual([
    'order: a         +0  2.5 ms',
    '├─ order: c      +5  2.5 ms  failed: timeout',
    '│  └─ order: d   +6  2.5 ms',
    '├─ order: b     +10  2.5 ms',
    '└─ order: push  +20  2.5 ms  the first of 2',
  ]);
});

test('a span whose parent nobody has reported is shown, and named', () => {
  const spans = [span('a', undefined, 100), span('b', 'lost', 101)];
  expect(missingParents(spans).map(({ spanId }) => spanId)).toEqual(['b']);
  expect(traceTree(spans)).toEqual(['order: a  +0  2.5 ms', 'order: b  +1  2.5 ms  its parent is missing']);
});
