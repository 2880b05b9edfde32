/**
 * What the sidecar knows that the app does not say. Time is split in two, the app's and our own: without that, whoever is slow
 * blames the other.
 */
import type { ServerResponse } from 'node:http';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { BreakerState } from './breaker.ts';
import type { Power } from './exchange.ts';
import { exchangeOf } from './exchange.ts';

const STATES: readonly BreakerState[] = ['closed', 'half-open', 'open'];

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, labelNames: T[] = []) =>
    new Counter({ name: `sidecar_${name}`, help, labelNames, registers });
  const seconds = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `sidecar_${name}_seconds`, help, buckets, registers });
  const breaker = new Gauge({
    name: 'sidecar_breaker_state',
    help: 'the state is 1',
    labelNames: ['state'],
    registers,
  });
  const metrics = {
    registry,
    asking: new Gauge({
      name: 'sidecar_upstream_asking',
      help: 'requests that the app has and has not answered',
      registers,
    }),
    requests: counter('requests_total', 'requests, by the class of their status', ['status']),
    limited: counter('limited_total', 'requests answered 429'),
    limiterAlone: counter('limiter_alone_total', 'requests that were counted without Redis, or not at all'),
    refusedTokens: counter('refused_tokens_total', 'requests answered 401 or 403'),
    cache: counter('cache_total', 'requests for what may be cached', ['result']),
    retries: counter('retries_total', 'second attempts'),
    failures: counter('upstream_failures_total', 'attempts that the app did not answer', ['error']),
    droppedLines: counter('access_log_dropped_total', 'lines of the access log that were dropped'),
    upstream: seconds(
      'upstream',
      'from a request sent to the head of its answer',
      [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    ),
    overhead: seconds('overhead', 'what the sidecar added before the head', [0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1]),
    breakerState(now: BreakerState): void {
      for (const state of STATES) breaker.set({ state }, state === now ? 1 : 0);
    },
  };
  metrics.breakerState('closed');
  return metrics;
}

/** Counts each request when it is over. */
export function countRequests(metrics: Metrics): Power {
  function over(this: ServerResponse): void {
    metrics.requests.inc(CLASSES[Math.floor(this.statusCode / 100)] ?? {});
    if (this.statusCode === 429) metrics.limited.inc();
    const { upstreamMs } = exchangeOf(this);
    if (upstreamMs !== undefined) metrics.upstream.observe(upstreamMs / 1_000);
  }
  return (_request, response, next) => {
    response.once('close', over);
    next();
  };
}

const CLASSES = [{}, { status: '1xx' }, { status: '2xx' }, { status: '3xx' }, { status: '4xx' }, { status: '5xx' }];
