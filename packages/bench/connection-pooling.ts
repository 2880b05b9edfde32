/**
 * Many callers, few connections: look-ups by primary key without a pool, with pools of 1 to 128 connections, and with the
 * two steps that come after a pool. Writes the plot for the chapter.
 */
import { writeFileSync } from 'node:fs';
import { createTables } from '@patterns/connection-pooling/bank';
import { startPostgres } from '@patterns/services/start-postgres';
import type { PoolApp, Way } from './connection-pooling-app.ts';
import { plotPools } from './plot.ts';
import { startChild } from './processes.ts';
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const SIZES = {
  full: { rounds: 7, callers: 200, durationMs: 1_500, warmUpMs: 500, pools: [1, 2, 4, 8, 16, 32, 50, 128] },
  quick: { rounds: 3, callers: 200, durationMs: 300, warmUpMs: 100, pools: [1, 2, 4, 8, 16, 32, 50, 128] },
  tiny: { rounds: 1, callers: 10, durationMs: 50, warmUpMs: 10, pools: [1, 4] },
};

const FIGURES = {
  rate: 'look-ups per second',
  p50Ms: 'p50, ms',
  p99Ms: 'p99, ms',
  cpuMicros: 'application CPU per look-up, µs',
  busy: 'application busy, %',
  residentMb: 'resident memory, MB',
} as const;
type Figure = keyof typeof FIGURES;

const CONNECTING = 'no pool: connect, ask, end';
const PIPELINE = 'pg pipelining, 2 connections';
const BATCH = '= any($1), a batch per pass, 2 connections';
const poolOf = (size: number) => `pool of ${size}`;
const share = (ratio: number) => `${Math.round(ratio * 100)} %`;

/** Above this share of the best rate a larger pool buys nothing. */
const AS_GOOD = 0.95;

/** Reports the rates without a pool, by size of the pool, and beyond. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', signal } = options;
  const { rounds: count, callers, durationMs, warmUpMs, pools } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  // A server of our own: one that was found may not have connections for the largest pool, nor the time.
  const postgres = stack.use(await startPostgres({ settings: { max_connections: '300' }, ...(signal && { signal }) }));
  await createTables(postgres.url);
  const file = new URL('connection-pooling-app.ts', import.meta.url);
  const app = stack.use(startChild<PoolApp>(file, { env: { DATABASE_URL: postgres.url } }));

  const ways = new Map<string, Way>([
    [CONNECTING, { by: 'connecting' }],
    ...pools.map((size): [string, Way] => [poolOf(size), { by: 'pool', size }]),
    [PIPELINE, { by: 'pipeline', size: 2 }],
    [BATCH, { by: 'batch', size: 2 }],
  ]);
  // Compiled once, before anybody is measured: all ways share the driver's code.
  await app.ask('run', { way: { by: 'pool', size: 4 }, callers, durationMs: 3 * warmUpMs, warmUpMs });

  const names = [...ways.keys()];
  const rounds = await runRounds(
    count,
    names,
    (name) => app.ask('run', { way: ways.get(name)!, callers, durationMs, warmUpMs }),
    options,
  );

  const rateOf = (pool: number) => rounds.of(poolOf(pool), 'rate').median;
  const best = pools.toSorted((a, b) => rateOf(b) - rateOf(a))[0]!;
  const knee = pools.find((pool) => rateOf(pool) >= AS_GOOD * rateOf(best))!;
  const largest = pools.at(-1)!;
  if (size === 'full') {
    const plot = plotPools(
      pools.map((pool) => ({ pool, rate: rounds.of(poolOf(pool), 'rate'), p99Ms: rounds.of(poolOf(pool), 'p99Ms') })),
      knee,
    );
    writeFileSync(new URL('../connection-pooling/bench.svg', import.meta.url), plot);
  }
  return {
    bench: 'connection-pooling',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: { ...versionsOf('pg'), PostgreSQL: /PostgreSQL (\S+)/.exec(postgres.about)?.[1] ?? '?' },
    rounds: count,
    noise: rounds.noise,
    tables: [
      {
        title: `${callers} callers, each looks up one user after the other by primary key`,
        columns: Object.values(FIGURES),
        rows: names.map((name) => ({
          name,
          cells: (Object.keys(FIGURES) as Figure[]).map((figure) => rounds.of(name, figure)),
        })),
        note: `The knee: ${knee === best ? `${poolOf(knee)} is the best` : `${poolOf(knee)} has ${share(rateOf(knee) / rateOf(best))} of the best rate, that of the ${poolOf(best)}`}; the ${poolOf(largest)} has ${share(rateOf(largest) / rateOf(best))} of it. Latency includes the waiting for a connection. Memory is that of one process, which all rows share.`,
      },
    ],
    targets: targets(rounds, poolOf(best)),
    ...(size === 'full' && { plot: 'bench.svg' }),
  };
}

function targets({ ratio }: Rounds<string, Figure>, best: string) {
  return [
    {
      claim: `look-ups per second, ${best} ÷ without a pool`,
      unit: '×',
      measured: ratio(best, CONNECTING, 'rate'),
      atLeast: 60,
    },
    { claim: `${PIPELINE} ÷ ${best}`, unit: '×', measured: ratio(PIPELINE, best, 'rate'), atLeast: 3 },
    { claim: `${BATCH} ÷ ${best}`, unit: '×', measured: ratio(BATCH, best, 'rate'), atLeast: 10 },
  ];
}
