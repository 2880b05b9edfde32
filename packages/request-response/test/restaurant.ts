/**
 * A restaurant of a test's own: a database, a server on it, and a look at both. All gone when disposed.
 */
import { randomUUID } from 'node:crypto';
import { createLog } from '@patterns/kit/log';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { createDatabase } from '@patterns/services/database';
import pg from 'pg';
import { inject } from 'vitest';
import { type ServerOptions, startServer } from '../server.ts';

export const PIZZA = { table: 7, items: [{ dish: 'pizza', quantity: 2 }] };

export async function startRestaurant(options: Partial<ServerOptions> = {}) {
  await using opened = new AsyncDisposableStack();
  const { url: databaseUrl } = opened.use(await createDatabase(inject('databaseUrl'), 'restaurant'));
  const log = createLog('test');
  log.silent = true;
  const server = opened.use(await startServer({ databaseUrl, log, ...options }));
  const pool = opened.adopt(new pg.Pool({ connectionString: databaseUrl, max: 2 }), (pool) => pool.end());
  pool.on('error', () => {});
  const count = async (query: string) => Number((await pool.query<{ count: string }>(query)).rows[0]?.count);
  const running = opened.move();
  return {
    url: server.url,
    databaseUrl,
    log,
    query: (text: string) => pool.query(text),
    orders: () => count('select count(*) from restaurant.orders'),
    keys: () => count('select count(*) from restaurant.idempotency_keys'),
    /** Orders in the kitchen: the statements that sleep now. */
    cooking: () =>
      count(
        `select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
         and query like '%pg_sleep%' and pid <> pg_backend_pid()`,
      ),
    close: () => server[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** A server as a process of its own, on that restaurant's database. */
export function startServerProcess(databaseUrl: string, env: Record<string, string> = {}): ChildProgram {
  return startProcess(new URL('../server.ts', import.meta.url), {
    env: { DATABASE_URL: databaseUrl, NOTICE_MS: '0', ...env },
  });
}

/** Posts an order as any HTTP client would. */
export function post(
  url: string,
  body: unknown = PIZZA,
  {
    key = randomUUID(),
    headers = {},
    signal,
  }: { key?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Response> {
  return fetch(`${url}/orders`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': `"${key}"`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal && { signal }),
  });
}
