/**
 * A job is held by a lease that is written down: whoever takes it moves `run_at` to the end of the lease, and leaves a token.
 *
 * Attempts are counted before the work, so those whose worker died count too, and a job may take hours without keeping a
 * transaction open. It costs two writes for a job, one to take it and one to settle it.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Hold, Taken, Verdict } from './postgres-queue-hold.ts';
import { NEXT } from './postgres-queue-table.ts';
import type { Guarantees } from './queue.ts';

export const postgresGuarantees: Guarantees = {
  'at-least-once': true,
  'ack-after-work': true,
  lease: true,
  heartbeat: true,
  fencing: true,
  attempts: true,
  'dead-letter': true,
  'malformed-aside': true,
  'retry-delay': true,
  release: true,
  'delayed-job': true,
  'order-per-key': true,
  bounded: true,
  'survives-restart': true,
  reconnects: true,
  'oldest-age': true,
};

// #region take
const TAKE = `
  update queues.jobs set run_at = now() + make_interval(secs => $3), attempts = attempts + 1, token = $4
  where seq = any(${NEXT}) returning seq, job, attempts`;
// #endregion

// #region settle
/** The fence: the rows that still have the token with which they were taken. Whoever took one since has left another. */
const MINE =
  'unnest($2::bigint[], $3::uuid[]) as mine(seq, token) where jobs.seq = mine.seq and jobs.token = mine.token';

/** What its key held up may be taken now. PostgreSQL sends equal notifications of one transaction once. */
const WAKE_KEY = `case when jobs.key is not null then pg_notify('queues', $1) end`;

const DONE = `delete from queues.jobs using ${MINE} and queue = $1 returning jobs.seq, ${WAKE_KEY}`;

const BACK = `
  update queues.jobs set run_at = now() + make_interval(secs => back.seconds), attempts = attempts - back.uncounted, token = null
  from unnest($2::bigint[], $3::uuid[], $4::float8[], $5::int[]) as back(seq, token, seconds, uncounted)
  where jobs.seq = back.seq and jobs.token = back.token and queue = $1 returning jobs.seq, pg_notify('queues', $1)`;

const DEAD = `
  with gone as (
    delete from queues.jobs using unnest($2::bigint[], $3::uuid[], $4::text[]) as mine(seq, token, reason)
    where jobs.seq = mine.seq and jobs.token = mine.token and queue = $1
    returning jobs.seq, key, job, attempts, reason, ${WAKE_KEY}
  ), kept as (insert into queues.dead (queue, key, job, attempts, reason) select $1, key, job, attempts, reason from gone)
  select seq from gone`;
// #endregion

const EXTEND = `
  update queues.jobs set run_at = now() + make_interval(secs => $4) from ${MINE} and queue = $1 returning jobs.seq`;

interface Receipt {
  readonly seq: string;
  readonly token: string;
}

/** Disposing it is up to whoever opened the pool. */
export function leaseHold(pool: pg.Pool, queue: string): Hold {
  /** Names are those of prepared statements: parsed once per connection. @returns the receipts whose rows it did not find. */
  async function ask(name: string, text: string, receipts: readonly Receipt[], ...more: unknown[]): Promise<Receipt[]> {
    if (receipts.length === 0) return [];
    const values = [queue, receipts.map(({ seq }) => seq), receipts.map(({ token }) => token), ...more];
    const { rows } = await pool.query<{ seq: string }>({ name, text, values });
    if (rows.length === receipts.length) return [];
    const found = new Set(rows.map(({ seq }) => seq));
    return receipts.filter(({ seq }) => !found.has(seq));
  }
  const of = (verdicts: Verdict[]) => verdicts.map(({ delivery }) => delivery.receipt as Receipt);

  return {
    guarantees: postgresGuarantees,
    async take(limit, leaseMs) {
      const token = randomUUID();
      const values = [queue, limit, leaseMs / 1_000, token];
      const { rows } = await pool.query<{ seq: string; job: string; attempts: number }>({
        name: 'take',
        text: TAKE,
        values,
      });
      return rows.map(({ seq, job, attempts }): Taken => ({ text: job, attempt: attempts, receipt: { seq, token } }));
    },
    async settle(verdicts) {
      const done = verdicts.filter(({ as }) => as === 'done');
      const dead = verdicts.filter(({ as }) => as === 'dead');
      const back = verdicts.filter(({ as }) => as === 'retry' || as === 'released');
      const lost = await Promise.all([
        ask('done', DONE, of(done)),
        ask(
          'dead',
          DEAD,
          of(dead),
          dead.map(({ reason }) => reason),
        ),
        ask(
          'back',
          BACK,
          of(back),
          back.map(({ delayMs = 0 }) => delayMs / 1_000),
          back.map(({ as }) => (as === 'released' ? 1 : 0)),
        ),
      ]);
      return lost.flat();
    },
    extend: (receipts, leaseMs) => ask('extend', EXTEND, receipts as Receipt[], leaseMs / 1_000),
    async [Symbol.asyncDispose]() {},
  };
}
