/**
 * The stage of the demo: a bank in the database that DATABASE_URL names, a role that may open 40 connections, servers that
 * log in as that role, and a PostgreSQL that can be looked at and meddled with.
 *
 * The limit stands for the server's `max_connections`, which is everybody's: were the demo to fill it up, it would lock out
 * whoever else uses that server. To who is refused, both are the same (SQLSTATE 53300). The role is dropped at the end.
 */
import { randomBytes } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { envUrl } from '@patterns/kit/env';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { httpWire } from '@patterns/kit/wire';
import pg from 'pg';
import { createTables } from './bank.ts';

export const CONNECTION_LIMIT = 40;

export interface Served {
  readonly program: ChildProgram;
  /** Straight to the server: for bursts, of which the demo prints one line. */
  readonly url: string;
  /** Past the tap that prints each message. */
  readonly shownUrl: string;
}

export type BankStage = Awaited<ReturnType<typeof openStage>>;

export async function openStage({ story, signal, use }: Stage) {
  const databaseUrl = envUrl('DATABASE_URL', {
    protocols: ['postgres:', 'postgresql:'],
    hint: 'start it with pnpm dev',
  });
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
  const role = await createRole(admin, use);
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
    /** Starts one of the servers, under the name `server`. */
    async serve(file: string, env: Record<string, string> = {}): Promise<Served> {
      const program = startProcess(new URL(file, import.meta.url), {
        env: { DATABASE_URL: roleUrl.href, LOG_LEVEL: 'error', ...env },
        signal,
      });
      use(program);
      const url = await program.url();
      const wire = httpWire({ story, client: 'client', server: 'server', headers: ['retry-after'] });
      const tap = use(await startFaultProxy(url, wire));
      return { program, url, shownUrl: tap.url };
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
    /** What a migration does that changes the table: until it ends, nobody reads from it or writes to it. */
    async lockTable(): Promise<AsyncDisposable> {
      await migration.query('begin; lock table pooling.users in access exclusive mode');
      return {
        async [Symbol.asyncDispose]() {
          await migration.query('rollback');
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

/** A role that may do what the bank needs and no more. What it owns and holds goes with it. */
async function createRole(admin: pg.Client, use: Stage['use']) {
  const name = `patterns_pooling_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  // Queued on the same connection behind whatever is under way: even when this stops half-way, nothing is left.
  const drop = async () => {
    await admin.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1', [name]);
    const { rowCount } = await admin.query('select from pg_roles where rolname = $1', [name]);
    if (rowCount) await admin.query(`drop owned by ${name}; drop role ${name}`);
  };
  use({ [Symbol.asyncDispose]: drop });
  await admin.query(`
    create role ${name} login password '${password}' connection limit ${CONNECTION_LIMIT};
    grant usage on schema pooling to ${name};
    grant select, update on pooling.users to ${name};
    grant select, insert on pooling.transfers to ${name};
  `);
  return { name, password };
}
