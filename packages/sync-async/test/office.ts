/**
 * The service, for a test alone: a database, a server on it, workers when asked for, and a look at all of it. Gone when disposed.
 */
import { createLog } from '@patterns/kit/log';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { createDatabase } from '@patterns/services/database';
import pg from 'pg';
import { inject } from 'vitest';
import type { Report, State, Status } from '../protocol.ts';
import { type ServerOptions, startServer } from '../server.ts';
import { startWorker, type WorkerOptions } from '../worker.ts';

export const SHORT = { account: 7, rows: 1_000 };
/** Many seconds: it ends within a test only if it is stopped. */
export const ENDLESS = { account: 7, rows: 10_000_000 };
export const MORE_ENDLESS = { account: 7, rows: 50_000_000 };

export async function openOffice(options: Partial<ServerOptions> = {}) {
  await using opened = new AsyncDisposableStack();
  const { url: databaseUrl } = opened.use(await createDatabase(inject('databaseUrl'), 'office'));
  const log = createLog('test');
  log.silent = true;
  const server = opened.use(await startServer({ databaseUrl, log, threads: 1, retryAfterSeconds: 0, ...options }));
  const db = opened.adopt(new pg.Pool({ connectionString: databaseUrl, max: 3 }), (pool) => pool.end());
  db.on('error', () => {});
  const running = opened.move();
  const office = {
    url: server.url,
    databaseUrl,
    log,
    db,
    close: () => server[Symbol.asyncDispose](),
    hire: (terms: Partial<WorkerOptions> = {}) => startWorker({ databaseUrl, log, ...terms }),
    async job(id: string) {
      const { rows } = await db.query<Job>('select * from sync_async.reports where id = $1', [id]);
      return rows[0]!;
    },
    reaches: (id: string, state: State, what = '') =>
      until(`${what || 'the job'} is ${state}`, async () => (await office.job(id)).state === state),
    /** A figure of `/metrics`. */
    async gauge(name: string): Promise<number> {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.slice(name.length),
      );
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
  return office;
}

interface Job {
  state: State;
  attempts: number;
  lease: string | null;
  leased_until: Date | null;
  result: Report | null;
  error: string | null;
  traceparent: string;
}

export function call(url: string, { account, rows } = SHORT, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/report?account=${account}&rows=${rows}`, signal ? { signal } : {});
}

export function post(url: string, body: unknown = SHORT, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/reports`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** Posts a job. @returns its id. */
export async function accepted(
  url: string,
  body: unknown = SHORT,
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await post(url, body, headers);
  if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
  return ((await response.json()) as Status).id;
}

/** A server or worker as a process of its own. */
export function startProgram(
  file: 'server.ts' | 'worker.ts',
  databaseUrl: string,
  env: Record<string, string> = {},
): ChildProgram {
  return startProcess(new URL(`../${file}`, import.meta.url), {
    env: { DATABASE_URL: databaseUrl, WORKERS: '0', ...env },
  });
}
