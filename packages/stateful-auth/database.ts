/**
 * The pool of connections to PostgreSQL. Waiting ends here as well: for a connection, and for a statement.
 */
import pg from 'pg';

/** Opens a pool; ends with `pool.end()`. */
export function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'stateful-auth',
    max: 10,
    connectionTimeoutMillis: 5_000, // for a free connection, or a new one
    statement_timeout: 5_000,
    query_timeout: 6_000, // our own watch, should nothing be heard from PostgreSQL at all
  });
  // A connection that breaks emits an error nobody awaits, and without a listener that ends the process. Idle ones are the
  // pool's to tell, those in use their own.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}
