/**
 * How either side uses PostgreSQL: no wait is endless, and what belongs together is one transaction. The sides share this code, and
 * no database.
 */
import pg from 'pg';

export interface PoolOptions {
  url: string;
  /** Connections at most. */
  size: number;
  /** After which PostgreSQL ends a statement, a wait for a lock included. 5 s: those here take milliseconds. */
  statementMs?: number;
  /** Waiting for a free connection, or for a new one. */
  acquireMs?: number;
}

/** Opens a pool in which no wait is endless. It ends with `pool.end()`. */
export function openPool({ url, size, statementMs = 5_000, acquireMs = 2_000 }: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: acquireMs,
    statement_timeout: statementMs,
    query_timeout: statementMs + 500, // our own watch, for a server of which nothing is heard at all
  });
  // A connection that breaks emits an error nobody awaits, and without a listener that ends the process. Idle ones are the
  // pool's to tell, those in use their own.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** Runs a schema that creates what is not there yet. */
export async function createTables(url: string, schema: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // the query that it broke rejects
  await client.connect();
  try {
    await client.query(schema);
  } finally {
    await client.end();
  }
}

/**
 * Runs `work` in a transaction: committed when it resolves, rolled back when it rejects. A process that dies in between has
 * done nothing: its connection breaks, and PostgreSQL rolls back.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let isSpoilt = false;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {
      isSpoilt = true;
    });
    throw error;
  } finally {
    client.release(isSpoilt); // true closes it: an answer may still be on its way, and the next user would take it for his own
  }
}
