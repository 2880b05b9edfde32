/**
 * The bank's tables and its two statements of business. Each function gets the client that it runs on: none of them ever
 * takes one of its own, which is how nested check-outs are kept from happening.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import pg, { type ClientBase } from 'pg';
import type { Receipt, Transfer, User } from './protocol.ts';

/** Fifty users with 100.00 each, under a schema of our own. Safe to run twice, and by two servers at once. */
export const SCHEMA = `
  begin;
  select pg_advisory_xact_lock(hashtext('patterns: pooling'));
  create schema if not exists pooling;
  create table if not exists pooling.users (
    id integer primary key,
    name text not null,
    balance integer not null check (balance >= 0)
  );
  create table if not exists pooling.transfers (
    id bigint generated always as identity primary key,
    from_id integer not null references pooling.users,
    to_id integer not null references pooling.users,
    amount integer not null check (amount > 0)
  );
  insert into pooling.users select n, 'User ' || n, 10000 from generate_series(1, 50) n on conflict do nothing;
  commit;
`;

/** The first fifty users. */
export async function listUsers(client: ClientBase): Promise<User[]> {
  const { rows } = await client.query<User>('select id, name, balance from pooling.users order by id limit 50');
  return rows;
}

// #region transfer
/**
 * Moves money, within the transaction that is open on `client`.
 * @throws {HttpProblem} 422 when there is no such user, 409 when the balance does not cover the amount.
 */
export async function transfer(client: ClientBase, { from, to, amount }: Transfer): Promise<Receipt> {
  // Both rows are locked in the order of their ids, whatever the direction: two opposite transfers cannot deadlock.
  const { rows: users } = await client.query<{ id: number }>(
    'select id from pooling.users where id = any($1) order by id for no key update',
    [[from, to]],
  );
  for (const [field, id] of [['/from', from] as const, ['/to', to] as const]) {
    if (users.some((user) => user.id === id)) continue;
    throw new HttpProblem(422, { detail: 'no such user', errors: [{ field, expected: 'the id of a user' }] });
  }
  // The condition is part of the update: there is no moment between looking and taking.
  const { rowCount: taken } = await client.query(
    'update pooling.users set balance = balance - $2 where id = $1 and balance >= $2',
    [from, amount],
  );
  if (taken === 0) throw new HttpProblem(409, { detail: 'the balance does not cover the amount' });
  await client.query('update pooling.users set balance = balance + $2 where id = $1', [to, amount]);
  const { rows } = await client.query<{ id: string }>(
    'insert into pooling.transfers (from_id, to_id, amount) values ($1, $2, $3) returning id',
    [from, to, amount],
  );
  return { id: rows[0]!.id, from, to, amount };
}
// #endregion

/**
 * The database of a server run by hand: DATABASE_URL, or else one of its own, dropped when `stack` is disposed.
 * @returns its URL. The tables are there.
 */
export async function openBank(stack: AsyncDisposableStack, signal: AbortSignal): Promise<string> {
  const given = process.env.DATABASE_URL;
  if (given) {
    await createTables(given);
    return given;
  }
  const postgres = stack.use(await findPostgres({ progress: console.log, signal }));
  console.log(postgres.about);
  const { url } = stack.use(await createDatabase(postgres.url, 'connection-pooling'));
  await createTables(url);
  return url;
}

/** Creates the tables unless they are there. A role that may only use them is not asked to create any. */
export async function createTables(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ found: boolean }>(
      `select to_regclass('pooling.transfers') is not null as found`,
    );
    if (!rows[0]!.found) await client.query(SCHEMA);
  } finally {
    await client.end();
  }
}
