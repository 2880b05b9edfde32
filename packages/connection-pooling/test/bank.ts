/** What the tests share: a bank in a database of its own, a pool or a server on it, and a look from outside. */

import { createLog } from '@patterns/kit/log';
import { createDatabase } from '@patterns/services/database';
import pg from 'pg';
import { inject } from 'vitest';
import { createTables } from '../bank.ts';
import { type DatabaseOptions, openDatabase } from '../database.ts';
import { type ServerOptions, startServer } from '../server.ts';

/** An empty bank, and a superuser's connection to look at it and to meddle with it. */
export async function openBank() {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createDatabase(inject('databaseUrl'), 'bank'));
  await createTables(url);
  const connect = async () => {
    const client = new pg.Client({ connectionString: url, application_name: 'test' });
    client.on('error', () => {}); // the query that it broke rejects
    await client.connect();
    stack.defer(() => client.end());
    return client;
  };
  const admin = await connect();
  const other = await connect();
  const query = async <T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<T[]> =>
    (await admin.query<T>(text, values)).rows;
  const resources = stack.move();
  return {
    url,
    /** Queries as somebody else. */
    query,
    /** The process ids of the pool's backends. */
    async backends(): Promise<number[]> {
      const rows = await query<{ pid: number }>(
        `select pid from pg_stat_activity where datname = current_database() and application_name = 'connection-pooling'`,
      );
      return rows.map(({ pid }) => pid);
    },
    /** Ends them, as a restart or a failover does, and waits till they are gone. */
    async endBackends(): Promise<void> {
      for (const pid of await this.backends()) await admin.query('select pg_terminate_backend($1, 5000)', [pid]);
    },
    /** How many backends wait for a lock now. */
    waitingForLock: async (): Promise<number> => {
      const rows = await query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.length;
    },
    /** Locks the users, as a migration does, until disposed. */
    async lockUsers(): Promise<AsyncDisposable> {
      await other.query('begin; lock table pooling.users in access exclusive mode');
      return {
        async [Symbol.asyncDispose]() {
          await other.query('rollback');
        },
      };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export type Bank = Awaited<ReturnType<typeof openBank>>;

/** A bank and a pool on it. */
export async function withPool(options: Omit<DatabaseOptions, 'url'> & { url?: string } = {}) {
  await using stack = new AsyncDisposableStack();
  const bank = stack.use(await openBank());
  const database = stack.use(openDatabase({ url: bank.url, ...options }));
  const resources = stack.move();
  return { bank, database, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

export const quiet = createLog('test');
quiet.silent = true;

/** A bank and a server on it. */
export async function withServer(options: Partial<ServerOptions> = {}) {
  await using stack = new AsyncDisposableStack();
  const bank = stack.use(await openBank());
  const server = stack.use(await startServer({ databaseUrl: bank.url, log: quiet, ...options }));
  const resources = stack.move();
  return { bank, server, url: server.url, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** The process id of a client's backend: which connection it is. */
export async function pidOf(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]!.pid;
}
