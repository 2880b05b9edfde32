/**
 * The tables of the payments, the notifications and the submissions, and a transaction.
 *
 * All services are in one database here, each with its own tables, so that one query counts what came of a payment. Nothing
 * depends on it: none reads another's.
 */
import { HttpProblem } from '@patterns/kit/problem';
import pg from 'pg';

/** The outbox alone (outbox.ts), for whoever has jobs to send and nothing to do with payments. */
export const OUTBOX_SCHEMA = `
  create schema if not exists shop;
  create table if not exists shop.outbox (
    seq bigint generated always as identity primary key,
    job text not null,
    at timestamptz not null default now()
  );`;

/** In a schema of its own: the database may be somebody else's. The lock keeps two processes that start at once from creating
 *  the same table twice; one query text is one transaction, so it is held to the end. */
const SCHEMA = `
  select pg_advisory_xact_lock(hashtextextended('patterns: shop', 0));
  ${OUTBOX_SCHEMA}
  create table if not exists shop.payments (
    id uuid primary key,
    phone text not null,
    amount int not null,
    at timestamptz not null default now()
  );
  create table if not exists shop.handled (
    job text primary key,
    at timestamptz not null default now()
  );
  -- What a customer gets to read. Nothing in the table itself keeps a message from being there twice: it is to be counted.
  create table if not exists shop.messages (
    id bigint generated always as identity primary key,
    payment uuid not null,
    phone text not null,
    text text not null,
    at timestamptz not null default now()
  );
  create index if not exists messages_of_payment on shop.messages (payment);
  -- What was submitted is in its job, and not here. The verdict is json, not jsonb, which would refuse a \\u0000 in an output.
  create table if not exists shop.submissions (
    id uuid primary key,
    at timestamptz not null,
    started_at timestamptz,
    outcome text,
    verdict json
  )`;

/** Opens a pool of at most `size` connections and sees to the tables. It ends with `pool.end()`. */
export async function openDatabase(url: string, { size = 10 } = {}): Promise<pg.Pool> {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: 2_000, // for a free connection, or a new one; beyond, 503
    statement_timeout: 5_000,
    idle_in_transaction_session_timeout: 10_000, // a relay waits for its broker within a transaction, and no longer than this
    query_timeout: 6_000, // our own watch, should nothing be heard from PostgreSQL at all
  });
  // A connection that breaks emits an error nobody awaits, and without a listener that ends the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  try {
    await pool.query(SCHEMA);
  } catch (error) {
    await pool.end();
    throw error;
  }
  return pool;
}

/** @throws {HttpProblem} 503 when there is no connection in time; what `work` throws, after it was rolled back. */
export async function transaction<T>(
  pool: Pick<pg.Pool, 'connect'>,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect().catch((cause) => {
    throw new HttpProblem(503, { detail: 'the database is not there', cause, headers: { 'Retry-After': '2' } });
  });
  let isSpoilt = false;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    // On a connection that cannot even roll back, something is still under way: it is closed, and PostgreSQL rolls back.
    isSpoilt = !(await client.query('rollback').catch(() => undefined));
    throw error;
  } finally {
    client.release(isSpoilt);
  }
}
