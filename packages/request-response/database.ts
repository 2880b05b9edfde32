/**
 * The restaurant's tables, and transactions that stop when nobody waits for them any more.
 */
import { HttpProblem } from '@patterns/kit/problem';
import pg from 'pg';
import { KEYS_TABLE } from './idempotency.ts';
import { DISHES_TABLE } from './menu.ts';

/** Everything is in a schema of its own: the database may be somebody else's. The lock keeps two servers that start at once
 *  from creating the same table twice; one query text is one transaction, so it is held to the end. */
const SCHEMA = `
  select pg_advisory_xact_lock(hashtextextended('restaurant', 0));
  create schema if not exists restaurant;${DISHES_TABLE}
  create table if not exists restaurant.orders (
    id uuid primary key default gen_random_uuid(),
    table_number int not null,
    items jsonb not null,
    total int not null,
    placed_at timestamptz not null default now()
  );${KEYS_TABLE}`;

/** How long a caller is told to wait when the database is the one that is late. */
const RETRY_AFTER_SECONDS = '2';

/**
 * Opens a pool of at most `size` connections and sees to the tables.
 * @param statementMs after which PostgreSQL ends a statement: a server must not wait for ever either. 0: it may.
 */
export async function openDatabase(url: string, { size, statementMs }: { size: number; statementMs: number }) {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: 2_000, // for a free connection, or a new one; beyond, 503
    statement_timeout: statementMs,
    query_timeout: statementMs && statementMs + 1_000, // our own watch, should nothing be heard from PostgreSQL at all
  });
  // A connection that breaks emits an error nobody awaits, and without a listener that ends the process. Idle ones are the
  // pool's to tell, those in use their own.
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

// #region transaction
/**
 * Runs `work` in a transaction, and stops it, the statement in PostgreSQL included, when `signal` aborts.
 * @throws {HttpProblem} 503 when there is no connection in time, or the work takes longer than a statement may.
 */
export async function transaction<T>(
  pool: pg.Pool,
  signal: AbortSignal,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect().catch((cause) => {
    throw unavailable('the database cannot be reached', cause);
  });
  let isSpoilt = false;
  // Hanging up is not enough: PostgreSQL would go on with its statement and notice only when it has something to say.
  const cancel = () => {
    isSpoilt = true;
    const { processID } = client as pg.PoolClient & { processID: number };
    pool.query('select pg_cancel_backend($1)', [processID]).catch(() => {}); // then statement_timeout ends it
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    signal.throwIfAborted();
    await client.query('begin');
    const result = await work(client);
    signal.throwIfAborted(); // it may have come between two statements, where there was nothing to cancel
    await client.query('commit');
    return result;
  } catch (error) {
    // A connection on which an answer is still awaited is closed as it is, and PostgreSQL rolls back.
    isSpoilt ||= isSilence(error) || !(await client.query('rollback').catch(() => undefined));
    if (signal.aborted) throw signal.reason;
    throw isSilence(error) || isStatementTimeout(error) ? unavailable('the kitchen is too slow', error) : error;
  } finally {
    signal.removeEventListener('abort', cancel);
    // A cancellation that comes late would hit whoever uses this connection next: it is closed instead of given back.
    client.release(isSpoilt);
  }
}
// #endregion

const isStatementTimeout = (error: unknown) => (error as { code?: string }).code === '57014'; // query_canceled
const isSilence = (error: unknown) => (error as Error).message === 'Query read timeout'; // pg has no code for it

function unavailable(detail: string, cause: unknown): HttpProblem {
  return new HttpProblem(503, { detail, cause, headers: { 'Retry-After': RETRY_AFTER_SECONDS } });
}
