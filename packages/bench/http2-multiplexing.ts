/**
 * A page of a hundred resources, over HTTP/1.1 and over one HTTP/2 connection; what a request costs the server over either; and
 * what a proxy costs that folds many streams into few connections. Everything that crosses is TLS, but for what is behind the proxy.
 */
import { ITEMS } from '@patterns/http2-multiplexing/protocol';
import { DELAY_MS, folded, openRoad, SIX, served, UNDER_WAY } from './http2-multiplexing-measure.ts';
import { type WayName, ways } from './http2-multiplexing-ways.ts';
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const SIZES = {
  full: { rounds: 7, durationMs: 800, warmUpMs: 250 },
  quick: { rounds: 3, durationMs: 300, warmUpMs: 100 },
  tiny: { rounds: 1, durationMs: 20, warmUpMs: 0 },
};

const PAGE = {
  slowMs: `${ITEMS} that take ${DELAY_MS} ms each, ms`,
  quickMs: `${ITEMS} that take no time, ms`,
  sockets: 'connections',
  bytes: 'bytes per request',
} as const;

const RATE = {
  cpuMicros: 'server CPU per request, µs',
  rate: 'requests per second',
  p50Ms: 'p50, ms',
  serverBusy: 'server busy, %',
  loadBusy: 'load generator busy, %',
} as const;

const FOLDED = {
  aloneMs: 'one at a time: p50, ms',
  p50Ms: `${UNDER_WAY} under way: p50, ms`,
  rate: 'requests per second',
  cpuMicros: 'CPU per request of whom we ask, µs',
} as const;

const OURS = 'HTTP/2, ours' satisfies WayName;
const POOL = 'HTTP/1.1 kept, undici' satisfies WayName;

/** Reports what one connection with many lanes gains, and what it costs. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full' } = options;
  const { rounds: count, ...sizes } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const { measurePages, measureRate } = await openRoad(stack, sizes);

  const wayNames = Object.keys(ways) as WayName[];
  const pages = await runRounds(count, wayNames, measurePages, options);
  const servedNames = Object.keys(served) as (keyof typeof served)[];
  const rates = await runRounds(count, servedNames, (name) => measureRate(served[name]), options);
  const foldedNames = Object.keys(folded) as (keyof typeof folded)[];
  const folds = await runRounds(count, foldedNames, (name) => measureRate(folded[name]), options);
  const [direct, , through] = foldedNames;
  return {
    bench: 'http2-multiplexing',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('undici'),
    rounds: count,
    noise: pages.noise,
    tables: [
      {
        title: `A page of ${ITEMS}, asked for all at once`,
        ...table(pages, wayNames, PAGE),
        note: `All ask the same server, over TLS. "Kept" is ${SIX} connections, that are open already, as is the one of HTTP/2; where each request has its own, its handshake is in the figures. Bytes are those of both directions, TLS included.`,
      },
      {
        title: `As many as go, ${UNDER_WAY} under way: ${UNDER_WAY} connections of HTTP/1.1, one of HTTP/2`,
        ...table(rates, servedNames, RATE),
        note: 'The load generator is Node as well, undici or node:http2: it is as busy as the server, and so on a machine of two cores the rate says less than the CPU per request.',
      },
      {
        title: 'Folded: many streams, and few connections behind',
        ...table(folds, foldedNames, FOLDED),
        note: 'The demultiplexer ends TLS and HTTP/2, and has eight connections to each of two backends. What these cost is not in its CPU, but they share the two cores with it, and with the load generator.',
      },
    ],
    targets: [
      {
        claim: `${ITEMS} that take ${DELAY_MS} ms each, over our client's session`,
        unit: 'ms',
        measured: pages.of(OURS, 'slowMs'),
        atMost: 1.4 * DELAY_MS,
      },
      {
        claim: 'the same, six connections kept by undici ÷ ours',
        unit: '×',
        measured: pages.ratio(POOL, OURS, 'slowMs'),
        atLeast: 12,
      },
      { claim: 'bytes per request, ours, TLS included', unit: '', measured: pages.of(OURS, 'bytes'), atMost: 200 },
      {
        claim: 'p50 that the demultiplexer adds, one request at a time',
        unit: 'ms',
        measured: folds.difference(through!, direct!, 'aloneMs'),
        atMost: 5,
      },
    ],
  };
}

function table<Name extends string, Figure extends string>(
  rounds: Rounds<Name, Figure>,
  names: readonly Name[],
  figures: Partial<Record<Figure, string>>,
) {
  return {
    columns: Object.values<string | undefined>(figures) as string[],
    rows: names.map((name) => ({
      name,
      cells: (Object.keys(figures) as Figure[]).map((figure) => rounds.of(name, figure)),
    })),
  };
}
