/**
 * The outbox: jobs that are written in the same transaction as what they are about, and carried to the queue afterwards.
 *
 * A database and a broker cannot commit together. Written one after the other, a crash in between leaves a payment that nobody
 * is told of, or a message about a payment that never was. So the job waits here, and a relay moves it: several may run, each
 * takes rows that no other one has. One that dies after the broker has a job and before its row is gone sends it twice, and
 * never not at all; the worker knows it by its id. Order is that of one relay: two of them may overtake each other.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { transaction } from './database.ts';
import { decodeJob, encodeJob, type Job, QueueError } from './job.ts';
import type { Queue } from './queue.ts';

/**
 * Makes the function that puts jobs into the outbox.
 * @param capacity what is in it when the broker has been away for minutes: then payments are refused, before the disk is full.
 * @throws {QueueError} `full`, before anything was written.
 */
export function outbox(capacity = 10_000) {
  return async (client: pg.PoolClient, jobs: readonly Job[]): Promise<void> => {
    // Transactions that run at the same time do not see each other's rows: it may hold some more than `capacity`.
    const { rowCount } = await client.query(
      `insert into shop.outbox (job) select unnest($1::text[])
       where not exists (select from shop.outbox offset $2 limit 1)`,
      [jobs.map(encodeJob), Math.max(0, capacity - jobs.length)],
    );
    if (rowCount === 0) throw new QueueError('full', 'too much waits to be sent', { retryAfterMs: 5_000 });
  };
}

export interface Relay extends AsyncDisposable {
  /** Something was written: look now. */
  readonly wake: () => void;
}

export interface RelayOptions {
  pool: Pick<pg.Pool, 'connect'>;
  queue: Pick<Queue, 'enqueue'>;
  /** Rows that move in one transaction. */
  batch?: number;
  /** How often it looks unasked, for what others wrote who did not come to wake theirs. */
  lookEveryMs?: number;
  /** Gets what went wrong; it is tried again. */
  onProblem?: (problem: Error) => void;
}

/** Carries jobs from the outbox to the queue until it is disposed. */
export function startRelay({
  pool,
  queue,
  batch = 100,
  lookEveryMs = 1_000,
  onProblem = () => {},
}: RelayOptions): Relay {
  const stopping = new AbortController();
  let woken = Promise.withResolvers<void>();
  let size = batch;

  const rest = async (ms: number) => {
    const timer = new AbortController();
    await Promise.race([woken.promise, delay(ms, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
  };
  const carry = async () => {
    while (!stopping.signal.aborted) {
      woken = Promise.withResolvers();
      try {
        const moved = await moveSome(pool, queue, size);
        size = Math.min(batch, size * 2);
        if (moved === 0) await rest(lookEveryMs);
      } catch (error) {
        if (error instanceof QueueError && error.code === 'full' && size > 1) {
          size >>= 1; // fewer may still fit
          continue;
        }
        onProblem(error as Error);
        // Not cut short by `wake`: that there is more to carry does not make room.
        await delay((error as QueueError).retryAfterMs ?? lookEveryMs, undefined, stopping).catch(() => {});
      }
    }
  };
  const carrying = carry();
  return {
    wake: () => woken.resolve(),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      woken.resolve();
      await carrying;
    },
  };
}

// #region relay
/** Moves the oldest rows that nobody else is moving. @returns how many. */
async function moveSome(pool: RelayOptions['pool'], queue: RelayOptions['queue'], limit: number): Promise<number> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<{ seq: string; job: string }>(
      'select seq, job from shop.outbox order by seq limit $1 for update skip locked',
      [limit],
    );
    if (rows.length === 0) return 0;
    await queue.enqueue(rows.map(({ job }) => decodeJob(job)));
    // Killed here, it sends them twice.
    await client.query('delete from shop.outbox where seq = any($1)', [rows.map(({ seq }) => seq)]);
    return rows.length;
  });
}
// #endregion
