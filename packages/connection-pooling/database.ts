/**
 * Lending out the pool's clients. `withClient` is the only door, so that three things hold for everybody who comes:
 * waiting ends, what was taken comes back, and what comes back is clean. It ends after its last client is back.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { HttpProblem } from '@patterns/kit/problem';
import pg, { type PoolClient } from 'pg';
import { type Checkout, watchCheckout } from './leak-detector.ts';
import { createPool, type PoolOptions } from './pool.ts';

export interface DatabaseOptions extends Omit<PoolOptions, 'onIdleError'> {
  /** A check-out longer than this is reported with the place that made it. 3 s: longer than any statement may take. */
  longCheckoutMs?: number;
  /** What happened, for logs and metrics. */
  observer?: Partial<PoolObserver>;
}

export interface PoolObserver {
  acquired(waitedMs: number): void;
  failed(error: PoolError): void;
  /** A connection broke while nobody used it. */
  idleError(error: Error): void;
  longCheckout(checkout: Checkout): void;
}

/** - `exhausted`: all clients were in use for as long as we wait
 *  - `unreachable`: the server could not be reached, or refused the connection
 *  - `nested`: somebody who holds a client asked for a second one: a fault in the program */
export class PoolError extends Error {
  override readonly name = 'PoolError';
  readonly code: 'exhausted' | 'unreachable' | 'nested';

  constructor(code: PoolError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface Database extends AsyncDisposable {
  readonly size: number;
  /** Clients in existence, lying idle, and callers that wait for one: for metrics. */
  readonly counts: Readonly<{ total: number; idle: number; waiting: number }>;
  /**
   * Lends `work` a client that nobody else has meanwhile, and takes it back whatever becomes of `work`.
   * @throws {PoolError} when there is no client to be had.
   */
  withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T>;
  /** Opens all connections, so that the first requests need not. @throws {PoolError} when the server cannot be reached. */
  warmUp(): Promise<void>;
}

/** Opens a pool and its door. One per process: a pool per request or module would be many small pools, or no pool at all. */
export function openDatabase({ longCheckoutMs = 3_000, observer = {}, ...options }: DatabaseOptions): Database {
  const pool = createPool({ ...options, onIdleError: (error) => observer.idleError?.(error) });
  const holding = new AsyncLocalStorage<{ isHeld: boolean }>();

  async function acquire(): Promise<PoolClient> {
    // It would wait for a client while it keeps one from others who do the same: a whole pool of such callers is stuck.
    if (holding.getStore()?.isHeld) throw new PoolError('nested', 'a client is held already: pass it down');
    const startedAt = performance.now();
    const client = await pool.connect().catch((cause: Error) => {
      // pg-pool has no code for it, only this message.
      const isExhausted = cause.message === 'timeout exceeded when trying to connect';
      const error = isExhausted
        ? new PoolError('exhausted', `all ${pool.options.max} clients were in use for too long`, { cause })
        : new PoolError('unreachable', `no connection: ${cause.message}`, { cause });
      observer.failed?.(error);
      throw error;
    });
    observer.acquired?.(performance.now() - startedAt);
    return client;
  }

  // #region with-client
  const withClient: Database['withClient'] = async (work) => {
    const takenAt = new Error('taken here'); // made before the first await, while the caller is on the stack
    const client = await acquire();
    const checkIn = watchCheckout(takenAt, longCheckoutMs, (checkout) => observer.longCheckout?.(checkout));
    const hold = { isHeld: true };
    let failure: unknown;
    try {
      return await holding.run(hold, work, client);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      checkIn();
      hold.isHeld = false; // work may have started something that goes on without it
      client.release(!isClean(client, failure)); // true destroys it, and the pool opens another when it needs one
    }
  };

  /** After an answer of ours, or an ERROR of the server's, the session goes on. After anything else (FATAL, a cut line, a
   *  timeout while the query is still under way, a transaction left open) it is not fit for the next user. */
  function isClean(client: PoolClient, failure: unknown): boolean {
    if (client.getTransactionStatus() !== 'I') return false;
    if (failure instanceof pg.DatabaseError) return failure.severity === 'ERROR';
    return failure === undefined || failure instanceof HttpProblem;
  }
  // #endregion

  return {
    size: pool.options.max,
    get counts() {
      return { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
    },
    withClient,
    async warmUp() {
      // All at once: none is back before the last is taken, so each is a connection of its own.
      await Promise.all(
        Array.from({ length: pool.options.max }, () => withClient((client) => client.query('select 1'))),
      );
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}
