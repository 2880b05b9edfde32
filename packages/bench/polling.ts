/**
 * What polling trades: news is half an interval old on average, and the shorter the interval, the more polls find nothing. How
 * old and how many at three intervals, and what a poll that finds nothing costs.
 */
import type { Waits } from './polling-load.ts';
import { type Asked, measureEmpty, measureStaleness, type Size } from './polling-measure.ts';
import { describeMachine, type Results, type Target, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const SIZES: Record<NonNullable<BenchOptions['size']>, Size & { rounds: number }> = {
  full: { rounds: 5, clients: 200, rate: 2, pollingMs: 4_000, connections: 50, durationMs: 1_000, warmUpMs: 500 },
  quick: { rounds: 3, clients: 200, rate: 2, pollingMs: 1_500, connections: 50, durationMs: 300, warmUpMs: 150 },
  tiny: { rounds: 1, clients: 10, rate: 50, pollingMs: 100, connections: 10, durationMs: 50, warmUpMs: 20 },
};

/** From an answer to the next poll: always as long; or as our client waits, with its jitter, and sooner after news. */
const INTERVALS = {
  'every 250 ms': { by: 'clock', minMs: 250, maxMs: 250 },
  'every 500 ms': { by: 'clock', minMs: 500, maxMs: 500 },
  'every 1,000 ms': { by: 'clock', minMs: 1_000, maxMs: 1_000 },
  'our client, 500 ms': { by: 'our client', minMs: 500, maxMs: 500 },
  'our client, 250 to 1,000 ms': { by: 'our client', minMs: 250, maxMs: 1_000 },
} as const satisfies Record<string, Waits>;
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
} as const satisfies Record<string, Asked>;
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
        note: 'Each connection asks again as soon as it has its answer. The textbook sends all 20 orders each time. Express hashes them to find that they are the same; our server compares a version.',
      },
      {
        title: `${size.clients} clients, ${size.rate} events a second at random times, ${size.pollingMs / 1_000} s a round: how old news is when it is seen`,
        columns: Object.values(STALENESS),
        rows: rows(STALENESS, intervals),
        note: `An event is as old as what is left of the interval into which it falls: half of it on average. Expected is half the interval that was asked for, and E[T²] / 2 E[T] of the intervals as they were where they differ, because of all moments more fall into a long interval than into a short one; the jitter of a tenth to either side adds 0.3 %. Each client has a phase of its own: ${size.clients} times ${(size.rate * size.pollingMs) / 1_000} events a round are enough for 2 %. Where clients adapt they do so together, after the same news, and a handful of events says little: the last row is for information.`,
      },
    ],
    targets: targets(rounds),
  };
}

function targets({ of }: Rounds<EmptyPoll | Interval, string>): Target[] {
  return [
    ...intervals
      .filter((name) => INTERVALS[name].minMs === INTERVALS[name].maxMs)
      .map((name) => ({
        claim: `${name}: mean staleness is off half the interval by`,
        unit: '%',
        measured: of(name, 'offPercent'),
        atMost: 5,
      })),
    { claim: 'bytes of the answer to an empty poll', unit: '', measured: of('ours, 304', 'bytes'), atMost: 120 },
  ];
}
