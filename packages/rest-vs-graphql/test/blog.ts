/**
 * A blog of a test file's own: a database with its ten thousand rows, and a look into it. Gone when disposed.
 */
import { createLog, type Log } from '@patterns/kit/log';
import { until } from '@patterns/kit/testing/until';
import { createDatabase } from '@patterns/services/database';
import pg from 'pg';
import { inject } from 'vitest';
import { type RestOptions, startRest } from '../rest.ts';
import { createBlog } from '../tables.ts';
import type { Tokens } from '../viewer.ts';

/** User 1 has written most of the posts, user 2 fewer. */
export const TOKENS: Tokens = new Map([
  ['one', 1],
  ['two', 2],
]);

/** Longer than a busy machine needs for anything: what is to be cut off sooner says so. */
const STATEMENT_MS = 15_000;

export async function openBlog() {
  await using opened = new AsyncDisposableStack();
  const { url } = opened.use(await createDatabase(inject('databaseUrl'), 'blog'));
  await createBlog(url);
  const pool = opened.adopt(new pg.Pool({ connectionString: url, max: 3, idleTimeoutMillis: 0 }), (each) => each.end());
  pool.on('error', () => {});
  const query = async <Row extends object>(text: string) => (await pool.query<Row>(text)).rows;
  const owned = opened.move();
  return {
    databaseUrl: url,
    query,
    /** Takes a lock, as `statement` does, until disposed: whoever wants the rows waits. */
    async lock(statement: string): Promise<AsyncDisposable> {
      const client = await pool.connect();
      await client.query(`begin; ${statement}`);
      return {
        async [Symbol.asyncDispose]() {
          await client.query('rollback');
          client.release();
        },
      };
    },
    /** Until so many statements wait for a lock. */
    async waiting(count: number): Promise<void> {
      const text = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      await until(`${count} statements that wait`, async () => (await query(text)).length === count);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A log that nobody sees. */
export function silentLog(): Log {
  const log = createLog('test');
  log.silent = true;
  return log;
}

export interface Call {
  method?: string;
  token?: string;
  headers?: Record<string, string>;
  /** Sent as it is when it is a text, else as JSON. */
  body?: unknown;
  signal?: AbortSignal;
}

/** A blog with a REST server on it. */
export async function startRestBlog(options: Partial<RestOptions> = {}) {
  await using opened = new AsyncDisposableStack();
  const blog = opened.use(await openBlog());
  const { databaseUrl } = blog;
  const pool = { statementMs: STATEMENT_MS, acquireMs: STATEMENT_MS };
  const { url } = opened.use(await startRest({ databaseUrl, tokens: TOKENS, log: silentLog(), ...pool, ...options }));
  const owned = opened.move();
  return {
    ...blog,
    url,
    call: (path: string, call?: Call) => callRest(new URL(path, url).href, call),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function callRest(url: string, { token, headers, body, ...init }: Call = {}) {
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    ...init,
    headers: {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: /json/.test(response.headers.get('Content-Type') ?? '') && text ? (JSON.parse(text) as unknown) : undefined,
    statements: Number(response.headers.get('X-SQL-Statements') ?? Number.NaN),
  };
}
