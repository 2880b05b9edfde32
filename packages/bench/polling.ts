/**
 * What polling trades: news is half an interval old on average, and the shorter the interval, the more polls find nothing. How
 * old and how many at three intervals, and what a poll that finds nothing costs.
 */
import type { HttpLoad } from './http-load.ts';
import type { PollingLoad } from './polling-load.ts';
import type { Contestant, PollingServer } from './polling-server.ts';
import { startChild } from './processes.ts';
import { describeMachine, type Results, type Target, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const SIZES = {
  full: { rounds: 7, clients: 200, pollingMs: 5_000, connections: 50, durationMs: 1_000, warmUpMs: 500 },
  quick: { rounds: 3, clients: 200, pollingMs: 2_000, connections: 50, durationMs: 300, warmUpMs: 150 },
  tiny: { rounds: 1, clients: 10, pollingMs: 300, connections: 10, durationMs: 50, warmUpMs: 20 },
};
type Size = (typeof SIZES)['full'];

/** Events a second, at random times. */
const RATE = 2;

/** How long a client waits from an answer to its next poll. The last one does as our client: sooner after news, and with jitter. */
const INTERVALS = {
  'every 250 ms': { minMs: 250, maxMs: 250 },
  'every 500 ms': { minMs: 500, maxMs: 500 },
  'every 1,000 ms': { minMs: 1_000, maxMs: 1_000 },
  'adaptive, 250 to 1,000 ms': { minMs: 250, maxMs: 1_000 },
} as const;
type Interval = keyof typeof INTERVALS;
const intervals = Object.keys(INTERVALS) as Interval[];

const STALENESS = {
  cpuMicros: 'server CPU per poll, µs',
  meanMs: 'mean staleness, ms',
  expectedMs: 'expected, ms',
  offPercent: 'off by, %',
  worstMs: 'worst, ms',
  emptyPercent: 'empty polls, %',
  bytesPerEvent: 'bytes per event',
} as const;

const EMPTY = {
  cpuMicros: 'server CPU per poll, µs',
  bytes: 'bytes of the answer',
  rate: 'polls per second',
  p50Ms: 'p50, ms',
  p99Ms: 'p99, ms',
  serverBusy: 'server busy, %',
  loadBusy: 'load generator busy, %',
} as const;

/** What is asked by a client that has everything. `etag`: it says what it has, and is told in few bytes that this is all. */
const EMPTY_POLLS = {
  'bare node:http, 304': { server: 'bare node:http', etag: true },
  'ours, 304': { server: 'ours', etag: true },
  'textbook, whole body': { server: 'textbook', etag: false },
  'textbook, Express makes an ETag, 304': { server: 'textbook', etag: true },
} as const;
type EmptyPoll = keyof typeof EMPTY_POLLS;
const emptyPolls = Object.keys(EMPTY_POLLS) as EmptyPoll[];

/** Reports what polls cost, `ours` beside its peers, and how old the news is that they bring. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size: sizeName = 'full' } = options;
  const size = SIZES[sizeName];
  const rounds = await runRounds<EmptyPoll | Interval, string>(
    size.rounds,
    [...emptyPolls, ...intervals],
    (name) =>
      name in INTERVALS
        ? measureStaleness(INTERVALS[name as Interval], size)
        : measureEmpty(EMPTY_POLLS[name as EmptyPoll], size),
    options,
  );
  const rows = (figures: Record<string, string>, of: readonly (EmptyPoll | Interval)[]) =>
    of.map((name) => ({ name, cells: Object.keys(figures).map((figure) => rounds.of(name, figure)) }));
  return {
    bench: 'polling',
    at: new Date().toISOString(),
    shortened: sizeName !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express'),
    rounds: rounds.rounds,
    noise: rounds.noise,
    tables: [
      {
        title: `a poll that finds nothing, ${size.connections} connections kept open`,
        columns: Object.values(EMPTY),
        rows: rows(EMPTY, emptyPolls),
        note: 'Each connection asks again as soon as it has its answer. ',
      },
      {
        title: `${size.clients} clients, ${RATE} events a second at random times, ${size.pollingMs / 1_000} s a round: how old news is when it is seen`,
        columns: Object.values(STALENESS),
        rows: rows(STALENESS, intervals),
        note: 'Expected is half the interval. Where the interval is drawn anew each time it is more than half its mean, E[T²] / 2 E[T]: of all moments, more fall into a long gap than into a short one.',
      },
    ],
    targets: targets(rounds),
  };
}

const startServer = (name: Contestant) =>
  startChild<PollingServer>(new URL('polling-server.ts', import.meta.url), { args: [name] });

async function measureEmpty({ server: name, etag }: { server: Contestant; etag: boolean }, size: Size) {
  await using server = startServer(name);
  await using load = startChild<HttpLoad>(new URL('http-load.ts', import.meta.url));
  const url = await server.ask('url', undefined);
  const headers: Record<string, string> = {};
  if (etag) headers['If-None-Match'] = (await fetch(url)).headers.get('etag')!;
  const { connections, durationMs, warmUpMs } = size;
  await load.ask('run', { url, headers, connections, durationMs: warmUpMs });
  const usage = () => Promise.all([server.ask('usage', { collect: false }), load.ask('usage', { collect: false })]);
  const [server0, load0] = await usage();
  const startedAt = performance.now();
  const { requests, ...received } = await load.ask('run', { url, headers, connections, durationMs });
  const micros = (performance.now() - startedAt) * 1_000;
  const [server1, load1] = await usage();
  const busy = server1.cpuMicros - server0.cpuMicros;
  return {
    ...received,
    cpuMicros: busy / requests,
    rate: requests / (micros / 1e6),
    serverBusy: (busy / micros) * 100,
    loadBusy: ((load1.cpuMicros - load0.cpuMicros) / micros) * 100,
  };
}

async function measureStaleness(interval: { minMs: number; maxMs: number }, { clients, pollingMs }: Size) {
  await using server = startServer('ours');
  await using load = startChild<PollingLoad>(new URL('polling-load.ts', import.meta.url));
  await load.ask('open', { url: await server.ask('url', undefined), clients, ...interval });
  const before = await server.ask('usage', { collect: false });
  await load.ask('reset', undefined);
  const events = await server.ask('publishAtRandom', { rate: RATE, durationMs: pollingMs });
  const { polls, meanMs, residualMs, emptyShare, ...seen } = await load.ask('seen', { events });
  const after = await server.ask('usage', { collect: false });
  const expectedMs = interval.minMs === interval.maxMs ? interval.minMs / 2 : residualMs;
  return {
    ...seen,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / polls,
    meanMs,
    expectedMs,
    offPercent: Math.abs(meanMs / expectedMs - 1) * 100,
    emptyPercent: emptyShare * 100,
  };
}

function targets({ of }: Rounds<EmptyPoll | Interval, string>): Target[] {
  return [
    ...intervals.map((name) => ({
      claim: `${name}: mean staleness is off what is expected by`,
      unit: '%',
      measured: of(name, 'offPercent'),
      atMost: 5,
    })),
    { claim: 'bytes of the answer to an empty poll', unit: '', measured: of('ours, 304', 'bytes'), atMost: 120 },
  ];
}
