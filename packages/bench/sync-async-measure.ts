/** The four ways of computing a report, each server a process of its own, and what is measured of one of them. */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { computeReport } from '@patterns/sync-async/report';
import pg from 'pg';
import { startChild } from './processes.ts';
import { percentile } from './results.ts';
import type { BenchOptions } from './rounds.ts';
import type { Load, ReportLoad } from './sync-async-load.ts';
import type { ReportServer } from './sync-async-server.ts';
import type { ReportWorker } from './sync-async-worker.ts';

export const BLOCKING = 'on the event loop';
export const AWAITED = 'awaited, on the event loop';
export const POOLED = 'in a thread';
export const ACCEPTED = '202, in a worker';
const cores = availableParallelism();
export const POOLED_ALL = `in ${cores} threads`;

export interface OfficeSize {
  reportMs: number;
  durationMs: number;
  warmUpMs: number;
}

/** Starts all of them; `stack` ends them. @returns what measures one of them by its name, and the size of the report. */
export async function openOffice(
  stack: AsyncDisposableStack,
  { reportMs, durationMs, warmUpMs }: OfficeSize,
  { say, signal }: BenchOptions,
) {
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

  return { rows, measure };

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
