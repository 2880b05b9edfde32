/**
 * A service's own database: the pool of connection-pooling, and its tables, made when the database is there. Services start in any
 * order, all at once, so "not there yet" is no error: it is waited for.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type DatabaseOptions,
  openDatabase as openPool,
  type Database as Pool,
} from '@patterns/connection-pooling/database';
import type { Log } from '@patterns/kit/log';
import pg from 'pg';

export interface Database extends Pool {
  /** One statement on its own. @throws {PoolError} when there is no client to be had. */
  readonly query: pg.Pool['query'];
}

/** Four connections are busy with some hundred requests a second. A PostgreSQL has 100 by default, for all services and instances. */
const SIZE = 4;

/** Opens the pool; it connects when it is first used. `inTransaction` of connection-pooling takes it. */
export function openDatabase({ log, ...options }: DatabaseOptions & { log: Log }): Database {
  const pool = openPool({
    size: SIZE,
    ...options,
    observer: {
      failed: ({ code, message }) => void log.warn('no client', { code, reason: message }),
      longCheckout: (checkout) => void log.warn('a client is kept too long', checkout),
      ...options.observer,
    },
  });
  const query = (text: string, values?: unknown[]) => pool.withClient((client) => client.query(text, values));
  return {
    size: pool.size,
    get counts() {
      return pool.counts;
    },
    withClient: (work) => pool.withClient(work),
    warmUp: () => pool.warmUp(),
    query: query as pg.Pool['query'],
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

/**
 * Runs `schema`, whose statements do nothing when everything is there already. The lock keeps two instances that start at once from
 * creating the same table twice: one query text is one transaction, so it is held to the end.
 * Waits for a database that is not there yet, until `signal` aborts. @throws whatever PostgreSQL says against the schema.
 */
export async function ensureSchema(
  database: Database,
  schema: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const text = `select pg_advisory_xact_lock(hashtextextended('chassis: schema', 0)); ${schema}`;
  await untilThere(() => database.withClient((client) => client.query(text)), { isFinal: isAnswer, signal });
}

/** The server has understood, and does not agree: asking again would not help. (Class 57: it is starting, or stopping.) */
export function isAnswer(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !error.code?.startsWith('57');
}

/**
 * Tries `work` until it succeeds: what a start needs and what may not be there yet. With jitter, since everybody starts at once.
 * @throws what `work` threw when it `isFinal`, or the reason of `signal`.
 */
export async function untilThere<T>(
  work: () => Promise<T>,
  { isFinal = () => false, signal }: { isFinal?: (error: unknown) => boolean; signal?: AbortSignal | undefined } = {},
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (isFinal(error)) throw error;
      const pauseMs = Math.random() * Math.min(2_000, 50 * 2 ** attempt);
      await delay(pauseMs, undefined, signal && { signal });
    }
  }
}
