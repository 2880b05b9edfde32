/**
 * The table of the jobs. What is in it was promised: it outlives every process that has to do with it.
 */
import pg from 'pg';

/** Everything is in a schema of its own: the database may be somebody else's. The lock keeps two processes that start at once
 *  from creating the same table twice; one query text is one transaction, so it is held to the end. */
const SCHEMA = `
  select pg_advisory_xact_lock(hashtextextended('sync_async', 0));
  create schema if not exists sync_async;
  create table if not exists sync_async.reports (
    id uuid primary key default gen_random_uuid(),
    key text unique,                       -- the client's own: the same key again is the same job
    account int not null,
    rows int not null,
    traceparent text not null,             -- of the request that asked for it
    state text not null default 'queued',
    attempts int not null default 0,
    lease uuid,                            -- of the one worker that may write the result
    leased_until timestamptz,
    result json,
    error text,
    created_at timestamptz not null default now(),
    finished_at timestamptz
  );
  create index if not exists reports_pending on sync_async.reports (created_at) where state in ('queued', 'running')`;

/** Says that there is a job, or that one was cancelled. Only a wake-up: whoever misses it finds the same in the table. */
export const CHANNELS = { accepted: 'sync_async_accepted', cancelled: 'sync_async_cancelled' } as const;

/** Opens a pool of at most `size` connections and sees to the table. */
export async function openDatabase(url: string, { size }: { size: number }): Promise<pg.Pool> {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: 5_000, // for a free connection, or a new one
    statement_timeout: 5_000, // each statement here touches a row or two
    query_timeout: 6_000, // our own watch, should nothing be heard from PostgreSQL at all
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
