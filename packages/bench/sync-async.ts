/**
 * The same report, computed in four places while somebody else pings: on the event loop, on the event loop behind an `await`, in
 * a thread, and in a worker process after a 202. At half of what one core can do, and at as much as goes.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { computeReport } from '@patterns/sync-async/report';
import pg from 'pg';
import { startChild } from './processes.ts';
import { describeMachine, percentile, type Results, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';
import type { Load, ReportLoad } from './sync-async-load.ts';
import type { ReportServer } from './sync-async-server.ts';
import type { ReportWorker } from './sync-async-worker.ts';

const SIZES = {
  full: { rounds: 7, reportMs: 50, durationMs: 4_000, warmUpMs: 1_000 },
  quick: { rounds: 3, reportMs: 50, durationMs: 1_000, warmUpMs: 300 },
  tiny: { rounds: 1, reportMs: 5, durationMs: 200, warmUpMs: 50 },
};

const BLOCKING = 'on the event loop';
const AWAITED = 'awaited, on the event loop';
const POOLED = 'in a thread';
const ACCEPTED = '202, in a worker';
const cores = availableParallelism();
const POOLED_ALL = `in ${cores} threads`;

const FIGURES = {
  pingP50Ms: 'ping p50, ms',
  pingP99Ms: 'ping p99, ms',
  pingMaxMs: 'ping max, ms',
  lateP99Ms: 'event loop late p99, ms',
  answerMs: 'until the answer, ms',
  resultMs: 'until the report, ms',
  serverBusy: 'server busy, %',
  workerBusy: 'worker busy, %',
} as const;

const MOST = {
  rate: 'reports per second',
  pingP50Ms: 'ping p50, ms',
  pingP99Ms: 'ping p99, ms',
  cpuMs: 'CPU per report, ms',
} as const;

/** Reports what somebody else notices of each way. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', say, signal } = options;
  const { rounds: count, reportMs, durationMs, warmUpMs } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await findPostgres({ ...(say && { progress: say }), ...(signal && { signal }) }));
  const { url: databaseUrl } = stack.use(await createDatabase(postgres.url, 'bench'));
  const db = stack.adopt(new pg.Pool({ connectionString: databaseUrl, max: 1 }), (pool) => pool.end());
  const rows = rowsFor(reportMs);

  // All run at the same time, and those that are not asked do nothing.
  const file = (name: string) => new URL(`sync-async-${name}.ts`, import.meta.url);
  const start = async (how: string, threads: number) => {
    const env = { DATABASE_URL: databaseUrl, THREADS: `${threads}` };
    const server = stack.use(startChild<ReportServer>(file('server'), { args: [how], env }));
    return { server, url: await server.ask('url', undefined) };
  };
  const textbook = await start('textbook', 0);
  const ours = await start('ours', 1);
  const oursAll = await start('ours', cores);
  const env = { DATABASE_URL: databaseUrl, THREADS: '1' };
  const worker = stack.use(startChild<ReportWorker>(file('worker'), { env }));
  await worker.ask('ready', undefined);
  const load = stack.use(startChild<ReportLoad>(file('load')));

  const byPhone = (how = '') => ({ path: `/report?account=7&rows=${rows}${how}` });
  const contestants = new Map([
    [BLOCKING, { ...textbook, report: byPhone('&how=blocking') as Load['report'] }],
    [AWAITED, { ...textbook, report: byPhone('&how=awaited') }],
    [POOLED, { ...ours, report: byPhone() }],
    [ACCEPTED, { ...ours, report: { body: JSON.stringify({ account: 7, rows }) } }],
    [POOLED_ALL, { ...oursAll, report: byPhone() }],
  ]);

  const names = [BLOCKING, AWAITED, POOLED, ACCEPTED];
  const everyMs = 2 * reportMs;
  const steady = await runRounds(count, names, (name) => measure(name, { everyMs }), options);
  const greedy = [BLOCKING, POOLED, POOLED_ALL];
  const most = await runRounds(count, greedy, (name) => measure(name, { callers: 4 }), options);
  return {
    bench: 'sync-async',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express', 'pg'),
    rounds: count,
    noise: steady.noise,
    tables: [
      {
        title: `A report of some ${reportMs} ms (${rows.toLocaleString('en')} rows) every ${everyMs} ms, and a ping every 5 ms`,
        ...table(steady, names, FIGURES),
        note: 'A ping counts from when it was due. "Until the answer" is the report itself, or the 202; then "until the report" is by the clock of PostgreSQL. One thread, one worker.',
      },
      {
        title: 'The same reports, as many as go: 4 callers, each asks again as soon as it is answered',
        ...table(most, greedy, MOST),
        note: 'The load generator and PostgreSQL are on the same cores.',
      },
    ],
    targets: [
      target('ping p99, in a thread ÷ on the event loop', steady.ratio(POOLED, BLOCKING, 'pingP99Ms'), {
        atMost: 0.25,
      }),
      target('ping p99, 202 and a worker ÷ on the event loop', steady.ratio(ACCEPTED, BLOCKING, 'pingP99Ms'), {
        atMost: 0.25,
      }),
      target('ping p99, awaited ÷ on the event loop', steady.ratio(AWAITED, BLOCKING, 'pingP99Ms'), { atLeast: 0.75 }),
      target('until the answer, 202 ÷ in a thread', steady.ratio(ACCEPTED, POOLED, 'answerMs'), { atMost: 0.25 }),
    ],
  };

  async function measure(name: string, by: Load['by']) {
    const { server, url, report } = contestants.get(name)!;
    await load.ask('run', { url, report, by, durationMs: warmUpMs });
    await jobsAreDone();
    await db.query('truncate sync_async.reports');
    const usage = () => Promise.all([server.ask('usage', { collect: false }), worker.ask('usage', { collect: false })]);
    await server.ask('watchLoop', undefined);
    const [server0, worker0] = await usage();
    const { failed, reports, tookMs, ...seen } = await load.ask('run', { url, report, by, durationMs });
    if (failed > 0) throw new Error(`${name}: ${failed} requests were refused`);
    await jobsAreDone();
    const [server1, worker1] = await usage();
    const serverMs = (server1.cpuMicros - server0.cpuMicros) / 1_000;
    const workerMs = (worker1.cpuMicros - worker0.cpuMicros) / 1_000;
    return {
      ...seen,
      rate: reports / (tookMs / 1_000),
      lateP99Ms: (await server.ask('lateMs', undefined)).p99,
      resultMs: name === ACCEPTED ? seen.answerMs + (await waitedForWorker()) : seen.answerMs,
      serverBusy: (serverMs / tookMs) * 100,
      workerBusy: (workerMs / tookMs) * 100,
      cpuMs: (serverMs + workerMs) / reports,
    };
  }

  async function jobsAreDone(): Promise<void> {
    const pending = `select from sync_async.reports where state in ('queued', 'running')`;
    while ((await db.query(pending)).rowCount !== 0) await delay(10, undefined, { signal });
  }

  /** From the moment a job was written down to its result, in milliseconds, in the median. */
  async function waitedForWorker(): Promise<number> {
    const { rows } = await db.query<{ ms: number }>(
      'select extract(epoch from finished_at - created_at)::float * 1000 as ms from sync_async.reports',
    );
    return percentile(
      rows.map(({ ms }) => ms),
      0.5,
    );
  }
}

/** How many rows take so long here. */
function rowsFor(ms: number): number {
  const rows = 20_000;
  const time = () => {
    const startedAt = performance.now();
    computeReport({ account: 7, rows });
    return performance.now() - startedAt;
  };
  const oneMs = percentile(Array.from({ length: 15 }, time), 0.5);
  return Math.max(1_000, Math.round(((ms / oneMs) * rows) / 1_000) * 1_000);
}

function table<Figure extends string>(
  rounds: Rounds<string, Figure>,
  names: readonly string[],
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

const target = (claim: string, measured: Results['targets'][number]['measured'], bound: object) => ({
  claim,
  unit: '×',
  measured,
  ...bound,
});
