/**
 * The jobs as a worker sees them. It does not take a job, it leases one: for a few seconds, and then again. A worker that dies
 * renews nothing, and after those seconds the job is anybody's.
 *
 * The lease's id is what may write. A worker that was only slow (a long pause, a cut line) comes back with a lease that is no
 * longer the job's, and changes nothing. All times are PostgreSQL's: the workers' clocks need not agree.
 */
import type { Pool, PoolClient } from 'pg';
import { CHANNELS } from './database.ts';
import type { Report, ReportRequest } from './protocol.ts';

export interface Lease extends ReportRequest {
  readonly id: string;
  readonly lease: string;
  readonly attempts: number;
  readonly traceparent: string;
}

// #region claim
/**
 * Leases the oldest job that is queued, or whose worker has not been heard of. `skip locked`: two workers that look at once do
 * not wait for each other, and do not take the same.
 * @returns nothing when there is none.
 */
export async function claim(db: Pool | PoolClient, { leaseMs, maxAttempts }: LeaseTerms): Promise<Lease | undefined> {
  const { rows } = await db.query<Lease>(
    `update sync_async.reports
     set state = 'running', attempts = attempts + 1, lease = gen_random_uuid(), leased_until = now() + make_interval(secs => $1)
     where id = (
       select id from sync_async.reports
       where (state = 'queued' or state = 'running' and leased_until < now()) and attempts < $2
       order by created_at
       limit 1
       for update skip locked
     )
     returning id, lease, attempts, account, rows, traceparent`,
    [leaseMs / 1_000, maxAttempts],
  );
  return rows[0];
}
// #endregion

export interface LeaseTerms {
  readonly leaseMs: number;
  /** A job whose workers die again and again is what kills them: after so many it fails. */
  readonly maxAttempts: number;
}

/** The heartbeat. @returns whether the job is still ours: else it was cancelled, or is somebody else's by now. */
export async function renew(db: Pool, { id, lease }: Lease, leaseMs: number): Promise<boolean> {
  const { rowCount } = await db.query(
    `update sync_async.reports set leased_until = now() + make_interval(secs => $3)
     where id = $1 and lease = $2 and state = 'running'`,
    [id, lease, leaseMs / 1_000],
  );
  return rowCount === 1;
}

// #region finish
/** Writes the result, if the job is still ours. @returns whether it was: a late result must not undo a cancellation. */
export async function finish(db: Pool, { id, lease }: Lease, result: Report): Promise<boolean> {
  const { rowCount } = await db.query(
    `update sync_async.reports
     set state = 'done', result = $3, finished_at = now(), lease = null, leased_until = null
     where id = $1 and lease = $2 and state = 'running'`,
    [id, lease, JSON.stringify(result)],
  );
  return rowCount === 1;
}
// #endregion

/** Writes down that it cannot be done, likewise. The reason is for whoever looks after it, and not told to the client. */
export async function fail(db: Pool, { id, lease }: Lease, reason: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update sync_async.reports
     set state = 'failed', error = $3, finished_at = now(), lease = null, leased_until = null
     where id = $1 and lease = $2 and state = 'running'`,
    [id, lease, reason],
  );
  return rowCount === 1;
}

/** Gives a job back before its lease runs out, so that the next worker can begin at once. It does not count as an attempt. */
export async function giveBack(db: Pool, { id, lease }: Lease): Promise<void> {
  await db.query(
    `with returned as (
       update sync_async.reports set state = 'queued', attempts = attempts - 1, lease = null, leased_until = null
       where id = $1 and lease = $2 and state = 'running'
       returning id
     )
     select pg_notify('${CHANNELS.accepted}', '') from returned`,
    [id, lease],
  );
}

/** Fails the jobs that have used up their attempts. */
export async function failExhausted(db: Pool, maxAttempts: number): Promise<void> {
  await db.query(
    `update sync_async.reports
     set state = 'failed', error = 'its workers died, ' || attempts || ' of them', finished_at = now(), lease = null
     where state = 'running' and leased_until < now() and attempts >= $1`,
    [maxAttempts],
  );
}
