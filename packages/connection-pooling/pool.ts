/**
 * The pool: a few connections, opened once and lent out (database.ts). All that is here is options, because that is where
 * the textbook's pool goes wrong: by pg's defaults it waits for ever, limits no statement, and takes the process with it
 * when the server ends an idle connection. Each option below replaces one of those defaults.
 */
import pg from 'pg';

export interface PoolOptions {
  /** `postgres://user:password@host/database`; over a network with `?sslmode=verify-full`. */
  url: string;
  /** Connections at most. `sizing.ts` says how many are right. */
  size?: number;
  /** Waiting for a free client, then 503. 2 s: less than the 5 s that a client here waits for an answer. */
  acquireTimeoutMs?: number;
  /** Waiting for a lock. 1 s: before the statement's own timeout, so that the error says what it was. */
  lockTimeoutMs?: number;
  /** One statement. 2 s: with the acquiring it still ends within the 5 s that the server takes to drain. */
  statementTimeoutMs?: number;
  /** An open transaction with nothing to do holds locks for nothing. 2 s: no transaction here waits for anything else. */
  idleInTransactionMs?: number;
  /** 30 s, so that a burst's connections are given back soon, and not between two requests of steady traffic. */
  idleTimeoutMs?: number;
  /** 30 min: after a failover, or behind a balancer, connections move over within that time. */
  maxLifetimeMs?: number;
  /** A connection broke while nobody used it. */
  onIdleError?: (error: Error) => void;
}

/** Makes a pool; one per process. It connects when it is first used, and ends with `pool.end()`. */
export function createPool({
  url,
  size = 10,
  acquireTimeoutMs = 2_000,
  lockTimeoutMs = 1_000,
  statementTimeoutMs = 2_000,
  idleInTransactionMs = 2_000,
  idleTimeoutMs = 30_000,
  maxLifetimeMs = 30 * 60_000,
  onIdleError = () => {},
}: PoolOptions): pg.Pool {
  // #region options
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'connection-pooling', // who it is, in pg_stat_activity
    max: size,
    connectionTimeoutMillis: acquireTimeoutMs, // the default, 0, waits for ever
    idleTimeoutMillis: idleTimeoutMs,
    maxLifetimeSeconds: maxLifetimeMs / 1_000,
    // Settings of the session: the server itself gives up and undoes, whatever has become of us.
    lock_timeout: lockTimeoutMs,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    // On our side, a second later, for the server that has vanished and ends nothing. Alone it would leave the server working.
    query_timeout: statementTimeoutMs + 1_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000, // sooner than firewalls forget a silent connection (from 5 min)
  });
  // An idle connection that the server ends is an 'error' of the pool, and without a listener the end of the process.
  pool.on('error', onIdleError);
  // One that is lent out is an 'error' of the client. The query that it broke rejects, so there is nothing more to do;
  // but between two queries nobody else listens, and the process would end here too.
  pool.on('connect', (client) => client.on('error', () => {}));
  // #endregion
  return pool;
}
