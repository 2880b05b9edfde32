/**
 * A queue in PostgreSQL: the rows of a table, each locked by whoever takes it, and passed over by all others (`skip locked`).
 *
 * It is the queue to begin with, since the database is there already, and since a job can be put there in the same transaction as
 * what it is about (`enqueueIn`): no outbox is needed. How a job is held while it is worked on is an option: by a lease in its row
 * (postgres-queue-lease.ts), or by an open transaction (postgres-queue-transaction.ts). Time is always the database's.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { decodeJob, encodeJob, type Job } from './job.ts';
import type { Taken, Verdict } from './postgres-queue-hold.ts';
import { leaseHold } from './postgres-queue-lease.ts';
import * as look from './postgres-queue-look.ts';
import { Room } from './postgres-queue-room.ts';
import { createTables, openPool, unavailable } from './postgres-queue-table.ts';
import { transactionHold } from './postgres-queue-transaction.ts';
import { WakeUp } from './postgres-queue-wake.ts';
import type { Delivery, EnqueueOptions, Queue, QueueOptions } from './queue.ts';

export interface PostgresQueueOptions extends QueueOptions {
  url: string;
  /** Default: `lease`. */
  hold?: 'lease' | 'transaction';
  /** How often a worker that waits looks without being woken. 1 s: what a lost notification may cost. */
  lookEveryMs?: number;
}

export interface PostgresQueue extends Queue {
  /**
   * Puts jobs there in the caller's transaction: they are there if it commits, and from then on; and never if it does not. `client` is
   * connected to the same database.
   * @throws {QueueError} as `enqueue` does
   */
  enqueueIn(client: pg.ClientBase | pg.Pool, jobs: readonly Job[], options?: EnqueueOptions): Promise<void>;
}

/** For what is not held: putting jobs there, and looking. Workers that settle are one or two at a time. */
const CONNECTIONS = 4;

// #region enqueue
/** The notification goes out when the transaction commits: nobody looks too early. */
const ENQUEUE = `
  with put as (
    insert into queues.jobs (queue, key, job, run_at)
    select $1, key, job, now() + make_interval(secs => $4) from unnest($2::text[], $3::text[]) as new(key, job)
  )
  select pg_notify('queues', $1)`;
// #endregion

/** Sees to the tables first. @throws {QueueError} `unavailable` */
export async function openPostgresQueue(options: PostgresQueueOptions): Promise<PostgresQueue> {
  const { url, name, capacity = 100_000, hold: kind = 'lease', lookEveryMs = 1_000, onProblem = () => {} } = options;
  await using opening = new AsyncDisposableStack();
  const pool = opening.adopt(openPool(url, name, CONNECTIONS, onProblem), (pool) => pool.end());
  await answered(createTables(pool));
  const room = new Room(pool, name, capacity);
  const wakeUp = opening.use(new WakeUp(url, name, onProblem));
  const onFree = () => wakeUp.wake();
  const hold = kind === 'lease' ? leaseHold(pool, name) : transactionHold({ url, queue: name, onProblem, onFree });
  opening.use(hold);
  const closing = new AbortController();
  opening.defer(() => closing.abort());
  const opened = opening.move();

  const enqueueIn: PostgresQueue['enqueueIn'] = async (client, jobs, { delayMs = 0 } = {}) => {
    if (jobs.length === 0) return;
    const values = [name, jobs.map(({ key }) => key ?? null), jobs.map(encodeJob), delayMs / 1_000];
    await answered(room.enter(jobs.length, () => client.query({ name: 'queues.enqueue', text: ENQUEUE, values })));
  };

  /** What was taken, without what is no job: that is set aside. */
  async function decoded(taken: Taken[]): Promise<Delivery[]> {
    const deliveries: Delivery[] = [];
    const malformed: Verdict[] = [];
    for (const { text, attempt, receipt } of taken) {
      try {
        deliveries.push({ job: decodeJob(text), attempt, receipt });
      } catch (error) {
        onProblem(error as Error);
        malformed.push({ delivery: { receipt }, as: 'dead', reason: (error as Error).message });
      }
    }
    if (malformed.length > 0) await hold.settle(malformed);
    return deliveries;
  }

  return {
    broker: 'postgres',
    guarantees: hold.guarantees,
    enqueue: (jobs, enqueueOptions) => enqueueIn(pool, jobs, enqueueOptions),
    enqueueIn,

    // #region wait
    async take({ limit, leaseMs, waitMs = 5_000, signal }) {
      const stop = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal;
      const until = performance.now() + waitMs;
      while (!stop.aborted) {
        const woken = wakeUp.next(); // before looking: what comes now is not missed
        let restMs = lookEveryMs;
        try {
          const deliveries = await decoded(await hold.take(limit, leaseMs));
          if (deliveries.length > 0) return deliveries;
          restMs = Math.min(restMs, await look.nextDueMs(pool, name));
        } catch (error) {
          if (!stop.aborted) onProblem(unavailable(error)); // it is asked again: a worker outlives its database
        }
        const leftMs = until - performance.now();
        if (leftMs <= 0) break;
        await either(woken, Math.min(restMs, leftMs), stop);
      }
      return [];
    },
    // #endregion

    async settle(outcomes) {
      const lost = new Set(await answered(hold.settle(outcomes)));
      return lost.size === 0 ? [] : outcomes.map(({ delivery }) => delivery).filter(({ receipt }) => lost.has(receipt));
    },
    async extend(deliveries, leaseMs) {
      const receipts = deliveries.map(({ receipt }) => receipt);
      const lost = new Set(await answered(hold.extend(receipts, leaseMs)));
      return deliveries.filter(({ receipt }) => lost.has(receipt));
    },
    dead: ({ limit = 100 } = {}) => answered(look.dead(pool, name, limit)),
    redrive: (ids) => answered(look.redrive(pool, name, ids)),
    depth: () => answered(look.depth(pool, name)),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function answered<T>(answer: Promise<T>): Promise<T> {
  return await answer.catch((error: unknown) => {
    throw unavailable(error);
  });
}

/** Waits for the promise, the time or the signal, whichever is first. */
async function either(promise: Promise<void>, ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const timer = pause(ms, undefined, { signal: AbortSignal.any([signal, over.signal]) });
  await Promise.race([promise, timer.catch(() => {})]);
  over.abort();
}
