/**
 * The stage of the demo: a PostgreSQL that lets 50 connections in, a bank in it, servers that log in as a role that may do
 * what the bank needs, and an administrator who looks on and meddles.
 *
 * It is always a PostgreSQL of the demo's own. A burst that fills a server up to its limit would lock out whoever else uses
 * that server, and the demo has no business to do that to the one that DATABASE_URL names.
 */
import { randomBytes } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { httpWire } from '@patterns/kit/wire';
import { createDatabase } from '@patterns/services/database';
import { startPostgres } from '@patterns/services/start-postgres';
import pg from 'pg';
import { createTables } from './bank.ts';

/** Of these, PostgreSQL keeps 3 for superusers: the administrator gets in even when the bank has taken all the others. */
export const MAX_CONNECTIONS = 50;

/** Ten times what a server needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

export interface Served {
  readonly program: ChildProgram;
  /** Straight to the server: for bursts, of which the demo prints one line. */
  readonly url: string;
  /** Past the tap that prints each message. */
  readonly shownUrl: string;
  /** The connections that it opens at most. */
  readonly size: number;
}

export type BankStage = Awaited<ReturnType<typeof openStage>>;

export async function openStage({ story, signal, use }: Stage) {
  const postgres = use(await startPostgres({ signal, settings: { max_connections: String(MAX_CONNECTIONS) } }));
  story.act('PostgreSQL', `runs on 127.0.0.1:${postgres.port}, with max_connections = ${MAX_CONNECTIONS}`);
  const { url: databaseUrl } = use(await createDatabase(postgres.url, 'bank'));
  const connect = async () => {
    const client = new pg.Client({ connectionString: databaseUrl });
    client.on('error', () => {}); // the query that it broke rejects
    use({ [Symbol.asyncDispose]: () => client.end() });
    await client.connect();
    return client;
  };
  await createTables(databaseUrl);
  const admin = await connect();
  const migration = await connect();
  const role = await createRole(admin);
  const roleUrl = new URL(databaseUrl);
  roleUrl.username = role.name;
  roleUrl.password = role.password;

  const backends = async () => {
    const { rows } = await admin.query<{ count: number }>(
      'select count(*)::integer as count from pg_stat_activity where usename = $1',
      [role.name],
    );
    return rows[0]!.count;
  };

  return {
    /** Starts one of the servers, under the name `server`. `size`: the connections that it opens at most. */
    async serve(file: string, size: number, env: Record<string, string> = {}): Promise<Served> {
      const program = startProcess(new URL(file, import.meta.url), {
        env: { DATABASE_URL: roleUrl.href, LOG_LEVEL: 'error', ...env },
        signal,
      });
      use(program);
      const url = await program.url(START_MS);
      const wire = httpWire({ story, client: 'client', server: 'server', headers: ['retry-after'] });
      const tap = use(await startFaultProxy(url, wire));
      return { program, url, shownUrl: tap.url, size };
    },
    /** The most backends that pg_stat_activity shows while `work` goes on. */
    async mostBackends<T>(work: Promise<T>): Promise<{ result: T; most: number }> {
      let most = 0;
      let isOver = false;
      const over = work.finally(() => {
        isOver = true;
      });
      while (!isOver) most = Math.max(most, await backends());
      return { result: await over, most };
    },
    /** Backends that wait for the table now. */
    async waiting(): Promise<number> {
      const { rowCount } = await admin.query(
        `select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'`,
        [role.name],
      );
      return rowCount ?? 0;
    },
    /** Backends that are at work now. */
    async working(): Promise<number> {
      const { rowCount } = await admin.query(`select from pg_stat_activity where usename = $1 and state <> 'idle'`, [
        role.name,
      ]);
      return rowCount ?? 0;
    },
    /** What a migration does that changes the table: until it ends, nobody reads from it or writes to it. */
    async lockTable(): Promise<AsyncDisposable> {
      await migration.query('begin; lock table pooling.users in access exclusive mode');
      return {
        async [Symbol.asyncDispose]() {
          await migration.query('rollback'); // safe to call twice
        },
      };
    },
    /** What a restart, a failover or an administrator does. @returns how many backends were ended. */
    async endBackends(): Promise<number> {
      const { rowCount } = await admin.query(
        'select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1',
        [role.name],
      );
      return rowCount ?? 0;
    },
    /** Connections that this PostgreSQL has for those who are not superusers. */
    async connectionsForAll(): Promise<number> {
      const { rows } = await admin.query<{ free: number }>(
        `select current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
                - coalesce(current_setting('reserved_connections', true), '0')::integer as free`,
      );
      return rows[0]!.free;
    },
  };
}

/** A role that may do what the bank needs and no more. */
async function createRole(admin: pg.Client) {
  const name = `bank_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  await admin.query(`
    create role ${name} login password '${password}';
    grant usage on schema pooling to ${name};
    grant select, update on pooling.users to ${name};
    grant select, insert on pooling.transfers to ${name};
  `);
  return { name, password };
}
