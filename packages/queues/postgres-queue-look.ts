/** What is in the queue, and what was set aside: the questions of people and of monitoring, to the PostgreSQL queue. */
import type pg from 'pg';
import { decodeJob, type Job } from './job.ts';
import type { DeadJob, Depth } from './queue.ts';

const NEXT_DUE = `
  select extract(epoch from run_at - clock_timestamp())::float8 * 1000 as "dueMs"
  from queues.jobs where queue = $1 and run_at > now() order by run_at limit 1`;

/**
 * A row that somebody takes in an open transaction looks untouched to all others, except that it names that transaction as the
 * one that deletes it (`xmax`); and each open transaction holds a lock on its own number. The count takes as long as there is
 * something to count: it is for every few seconds.
 */
const DEPTH = `
  with open as materialized (select transactionid from pg_locks where locktype = 'transactionid' and granted),
  job as (
    select run_at, run_at <= now() as due, token is not null and run_at > now() or xmax in (select transactionid from open) as leased
    from queues.jobs where queue = $1
  )
  select count(*) filter (where due and not leased)::int as ready,
    count(*) filter (where not due and not leased)::int as delayed,
    count(*) filter (where leased)::int as leased,
    (select count(*) from queues.dead where queue = $1)::int as dead,
    coalesce(extract(epoch from now() - min(run_at) filter (where due and not leased)), 0)::float8 * 1000 as "oldestAgeMs"
  from job`;

const DEAD = 'select seq, job, attempts, reason from queues.dead where queue = $1 order by seq limit $2';

const REDRIVE = `
  with back as (delete from queues.dead where queue = $1 and seq = any($2) returning seq, key, job),
  put as (insert into queues.jobs (queue, key, job) select $1, key, job from back order by seq)
  select seq, pg_notify('queues', $1) from back`;

/** In how many milliseconds a job will be due that is not yet: delayed, or leased to somebody who may never settle it. */
export async function nextDueMs(pool: pg.Pool, queue: string): Promise<number> {
  const { rows } = await pool.query<{ dueMs: number }>({ name: 'next-due', text: NEXT_DUE, values: [queue] });
  return Math.max(0, Math.ceil(rows[0]?.dueMs ?? Number.POSITIVE_INFINITY)); // it may have become due meanwhile
}

export async function depth(pool: pg.Pool, queue: string): Promise<Depth> {
  const { rows } = await pool.query<Depth>(DEPTH, [queue]);
  return rows[0]!;
}

export async function dead(pool: pg.Pool, queue: string, limit: number): Promise<DeadJob[]> {
  const { rows } = await pool.query<{ seq: string; job: string; attempts: number; reason: string }>(DEAD, [
    queue,
    limit,
  ]);
  return rows.map(({ seq, job: text, attempts, reason }) => {
    const job = decodedOrNot(text);
    return { id: seq, ...(job && { job }), text, attempts, reason };
  });
}

/** An id that no job here can have is that of none. */
export async function redrive(pool: pg.Pool, queue: string, ids: readonly string[]): Promise<number> {
  const { rowCount } = await pool.query(REDRIVE, [queue, ids.filter((id) => /^\d{1,18}$/.test(id))]);
  return rowCount ?? 0;
}

function decodedOrNot(text: string): Job | undefined {
  try {
    return decodeJob(text);
  } catch {
    return undefined;
  }
}
