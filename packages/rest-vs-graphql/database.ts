/**
 * PostgreSQL as one request sees it: its statements are counted, since that is what the two servers are compared by, and they end
 * when nobody waits for them any more.
 */
import pg from 'pg';
import { BlogError } from './blog-error.ts';

export interface DatabaseOptions {
  /** Its tables are there (`createBlog`). */
  url: string;
  /** Connections at most. */
  size?: number;
  /** Waiting for a free connection, or for a new one. 2 s: less than a client waits for an answer. */
  acquireMs?: number;
  /** After which PostgreSQL ends a statement, a wait for a lock included. 2 s: those here take milliseconds. */
  statementMs?: number;
}

export interface Database extends AsyncDisposable {
  /** The database for one request. When `signal` aborts, the statement under way is cancelled in PostgreSQL as well. */
  forRequest(signal?: AbortSignal): RequestDatabase;
  /** Callers that wait for a connection now: for metrics. */
  readonly waiting: number;
  /** Statements of all requests until now: for metrics. */
  readonly statements: number;
}

export interface RequestDatabase {
  /** How many statements this request has sent until now. */
  readonly statements: number;
  /**
   * Runs one statement and resolves with its rows. Each commits by itself: none here needs a transaction.
   * @throws {BlogError} `unavailable`, when there was no connection in time or the statement took too long.
   * Rejects with the signal's reason when that has aborted.
   */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** Opens a pool in which no wait is endless. One per process. */
export function openDatabase({ url, size = 10, acquireMs = 2_000, statementMs = 2_000 }: DatabaseOptions): Database {
  const options = {
    connectionString: url,
    connectionTimeoutMillis: acquireMs,
    statement_timeout: statementMs,
    query_timeout: statementMs + 2_000, // our own watch, for a server of which nothing is heard at all
  };
  const pool = new pg.Pool({ ...options, max: size, application_name: 'rest-vs-graphql' });
  // A statement is cancelled on another connection than its own, and that must not have to wait until one is free.
  const cancelling = new pg.Pool({ ...options, max: 1, idleTimeoutMillis: 1_000 });
  for (const each of [pool, cancelling]) {
    // A connection that breaks emits an error nobody awaits, and without a listener that ends the process. Idle ones are the
    // pool's to tell, those in use their own.
    each.on('error', () => {});
    each.on('connect', (client) => client.on('error', () => {}));
  }

  // #region query
  async function run(signal: AbortSignal | undefined, text: string, values: readonly unknown[]): Promise<object[]> {
    const client = await pool.connect().catch((cause) => {
      throw new BlogError('unavailable', 'no connection to the database in time', { cause });
    });
    let isSpoilt = false;
    // Hanging up is not enough: PostgreSQL would go on, and notice only when it has something to say.
    const cancel = () => {
      isSpoilt = true;
      const { processID } = client as pg.PoolClient & { processID: number };
      cancelling.query('select pg_cancel_backend($1)', [processID]).catch(() => {}); // then statement_timeout ends it
    };
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      signal?.throwIfAborted();
      const { rows } = await client.query<object>(text, [...values]);
      return rows;
    } catch (error) {
      isSpoilt ||= !signal?.aborted && !(error instanceof pg.DatabaseError && error.severity === 'ERROR');
      throw error;
    } finally {
      signal?.removeEventListener('abort', cancel);
      // A cancellation that comes late would hit whoever uses this connection next: it is closed instead of given back.
      client.release(isSpoilt);
    }
  }
  // #endregion

  let allStatements = 0;
  return {
    forRequest(signal) {
      let statements = 0;
      return {
        get statements() {
          return statements;
        },
        async query<Row extends object>(text: string, values: readonly unknown[] = []) {
          signal?.throwIfAborted();
          statements++;
          allStatements++;
          try {
            return (await run(signal, text, values)) as Row[];
          } catch (error) {
            signal?.throwIfAborted();
            if (!isCancelled(error)) throw error;
            throw new BlogError('unavailable', 'the database took too long', { cause: error });
          }
        },
      };
    },
    get waiting() {
      return pool.waitingCount;
    },
    get statements() {
      return allStatements;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([pool.end(), cancelling.end()]);
    },
  };
}

/** PostgreSQL has ended the statement, and undone it: query_canceled. When it is silent instead, nobody knows what was done. */
const isCancelled = (error: unknown) => error instanceof pg.DatabaseError && error.code === '57014';
