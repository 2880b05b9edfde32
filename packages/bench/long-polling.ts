/**
 * How soon a parked request has its answer, and what that costs: events at random times beside a server that looks each
 * second, and a thousand parked requests that one event wakes beside a server that does nothing but keep them.
 */
import type { LongPollingLoad } from './long-polling-load.ts';
import type { Contestant, LongPollingServer } from './long-polling-server.ts';
import { startChild } from './processes.ts';
import { describeMachine, type Results, type Table, type Target, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const TEXTBOOK = 'textbook, looks each second';
const BARE = 'bare node:http';
const OURS = 'ours';

interface Size {
  rounds: number;
  clients: number;
  events: number;
  /** More than a second: what comes between two polls is not what this measures, and the textbook would lose it. */
  leastGapMs: number;
  mostGapMs: number;
  parked: number;
  wakes: number;
  warmUps: number;
}

const GAP = { leastGapMs: 1_100, mostGapMs: 2_100 };
const SIZES: Record<NonNullable<BenchOptions['size']>, Size> = {
  full: { rounds: 5, clients: 30, events: 6, ...GAP, parked: 1_000, wakes: 40, warmUps: 30 },
  quick: { rounds: 3, clients: 30, events: 2, ...GAP, parked: 1_000, wakes: 15, warmUps: 15 },
  tiny: { rounds: 1, clients: 10, events: 1, leastGapMs: 0, mostGapMs: 100, parked: 50, wakes: 2, warmUps: 1 },
};

const LATENCY = {
  'event p50Ms': 'p50, ms',
  'event p99Ms': 'p99, ms',
  'event lost': 'lost',
} as const;

const WAKE = {
  cpuMicros: 'server CPU per wake, µs',
  lastMs: 'until the last has its answer, ms',
  p50Ms: 'p50, ms',
  bytes: 'bytes per answer',
  lost: 'lost',
  loadMicros: 'load generator CPU per wake, µs',
} as const;

/** Reports what `ours` reached beside its peers. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size: sizeName = 'full' } = options;
  const size = SIZES[sizeName];
  const names: Contestant[] = [TEXTBOOK, OURS, BARE];
  const rounds = await runRounds(size.rounds, names, (name) => measure(name, size), options);
  const table = (figures: Record<string, string>, contestants: Contestant[]): Pick<Table, 'columns' | 'rows'> => ({
    columns: Object.values(figures),
    rows: contestants.map((name) => ({
      name,
      cells: Object.keys(figures).map((figure) => rounds.of(name, figure)),
    })),
  });
  return {
    bench: 'long-polling',
    at: new Date().toISOString(),
    shortened: sizeName !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express'),
    rounds: rounds.rounds,
    noise: rounds.noise,
    tables: [
      {
        title: `${size.parked.toLocaleString('en')} parked requests, woken by one event, and parked again`,
        ...table(WAKE, [BARE, OURS]),
        note: 'A wake is an answer and the request that follows it: both are in its CPU. The event is appended when all are parked. The bare server keeps the responses in an array, and encodes an event once; it knows no cursor, no client that leaves and no end of a hold.',
      },
      {
        title: `${size.clients} clients, ${size.events} events at random times: from the event to the answer`,
        ...table(LATENCY, [TEXTBOOK, OURS]),
        note: `The events are at least ${(size.leastGapMs / 1_000).toFixed(1)} s apart. The textbook loses what comes between a client's polls, and is spared that here.`,
      },
    ],
    targets: targets(rounds),
  };
}

/** Starts the contestant and its clients as processes of their own, and ends them. */
async function measure(name: Contestant, size: Size): Promise<Record<string, number>> {
  const latency = name === BARE ? {} : await measureLatency(name, size);
  const wake = name === TEXTBOOK ? {} : await measureWakes(name, size);
  return { ...latency, ...wake };
}

const startServer = (name: Contestant) =>
  startChild<LongPollingServer>(new URL('long-polling-server.ts', import.meta.url), { args: [name] });
const startLoad = () => startChild<LongPollingLoad>(new URL('long-polling-load.ts', import.meta.url));

async function measureLatency(name: Contestant, { clients, events, leastGapMs, mostGapMs }: Size) {
  await using server = startServer(name);
  await using load = startLoad();
  await load.ask('open', { url: await server.ask('url', undefined), count: clients, spreadMs: 1_000 });
  await server.ask('asked', { count: clients });
  // The first answer compiles; it is nobody's latency.
  await server.ask('publishAtRandom', { count: 1, leastGapMs, mostGapMs });
  await load.ask('received', { count: 1 });
  await server.ask('asked', { count: 2 * clients });
  await load.ask('reset', undefined);
  await server.ask('publishAtRandom', { count: events, leastGapMs, mostGapMs });
  const { p50Ms, p99Ms, lost } = await load.ask('received', { count: events });
  return { 'event p50Ms': p50Ms, 'event p99Ms': p99Ms, 'event lost': lost };
}

async function measureWakes(name: Contestant, { parked, warmUps, wakes }: Size) {
  await using server = startServer(name);
  await using load = startLoad();
  await load.ask('open', { url: await server.ask('url', undefined), count: parked });
  await server.ask('asked', { count: parked });
  await server.ask('wake', { count: warmUps, parked });
  await load.ask('reset', undefined);
  const usage = () => Promise.all([server.ask('usage', { collect: false }), load.ask('usage', { collect: false })]);
  const [server0, load0] = await usage();
  await server.ask('wake', { count: wakes, parked });
  const { arrived, ...received } = await load.ask('received', { count: wakes });
  const [server1, load1] = await usage();
  return {
    ...received,
    cpuMicros: (server1.cpuMicros - server0.cpuMicros) / arrived,
    loadMicros: (load1.cpuMicros - load0.cpuMicros) / arrived,
  };
}

function targets({ ratio, of }: Rounds<Contestant, string>): Target[] {
  return [
    { claim: 'p50, textbook ÷ ours', unit: '×', measured: ratio(TEXTBOOK, OURS, 'event p50Ms'), atLeast: 150 },
    { claim: 'p99, textbook ÷ ours', unit: '×', measured: ratio(TEXTBOOK, OURS, 'event p99Ms'), atLeast: 50 },
    { claim: 'events of ours that were lost', unit: '', measured: of(OURS, 'event lost'), atMost: 0 },
    { claim: 'CPU per wake, ours ÷ bare node:http', unit: '×', measured: ratio(OURS, BARE, 'cpuMicros'), atMost: 1.3 },
  ];
}
