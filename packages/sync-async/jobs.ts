/**
 * The jobs as the server sees them: it accepts them, says where they stand, and cancels them. Each step is one statement, and
 * the condition under which it may be taken is part of it: of two that come at once, one finds nothing left to change.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { toTraceparent } from '@patterns/kit/trace';
import type { Pool } from 'pg';
import { CHANNELS } from './database.ts';
import type { Report, ReportRequest, Status } from './protocol.ts';
import { currentTrace } from './tracing.ts';

/** About one report's time: a client that comes sooner is told the same again. */
const FULL_RETRY_AFTER_SECONDS = '5';

// #region accept
/**
 * Writes a job down. When this returns, it is on disk: only now may the client be told 202.
 *
 * @param key the client's own; the same key again is the same job, whatever became of the first answer.
 * @param maxPending jobs that may wait or run. Two servers that look at once may exceed it by one.
 * @throws {HttpProblem} 503 when there are too many, 422 when the key was used for another report.
 */
export async function accept(
  db: Pool,
  request: ReportRequest,
  { key, maxPending }: { key: string | undefined; maxPending: number },
): Promise<Status> {
  // NOTIFY belongs to the transaction: a worker hears of the job when it can see it.
  const { rows } = await db.query<Status>(
    `with accepted as (
       insert into sync_async.reports (key, account, rows, traceparent)
       select $1, $2, $3, $4
       where (select count(*) from sync_async.reports where state in ('queued', 'running')) < $5
       on conflict (key) do nothing
       returning id, state, attempts
     )
     select accepted.*, pg_notify('${CHANNELS.accepted}', '') from accepted`,
    [key ?? null, request.account, request.rows, toTraceparent(currentTrace()), maxPending],
  );
  if (rows[0]) return statusOf(rows[0]);
  const earlier = await db.query<Status & ReportRequest>(
    'select id, state, attempts, account, rows from sync_async.reports where key = $1',
    [key ?? null],
  );
  const first = earlier.rows[0];
  if (!first) {
    const headers = { 'Retry-After': FULL_RETRY_AFTER_SECONDS };
    throw new HttpProblem(503, { detail: 'too many reports are waiting already', headers });
  }
  if (first.account === request.account && first.rows === request.rows) return statusOf(first);
  throw new HttpProblem(422, { detail: 'this Idempotency-Key was used for another report' });
}
// #endregion

/** A job, with what came of it. */
export interface Job extends Status {
  readonly result: Report | null;
}

/** @throws {HttpProblem} 404 when there is no such job. */
export async function find(db: Pool, id: string): Promise<Job> {
  // What is not a UUID is not there either; PostgreSQL would call it an error.
  const { rows } = UUID.test(id)
    ? await db.query<Job>('select id, state, attempts, result from sync_async.reports where id = $1', [id])
    : { rows: [] };
  if (!rows[0]) throw new HttpProblem(404, { detail: 'there is no such report' });
  return rows[0];
}

// #region cancel
/**
 * Cancels a job that is not finished. From here on nobody can finish it: see `finish` (lease.ts). The worker that has it is
 * told, so that it stops; if the message is lost, its next heartbeat finds out. Twice is once.
 *
 * @throws {HttpProblem} 404 when there is no such job, 409 when it is finished.
 */
export async function cancel(db: Pool, id: string): Promise<void> {
  const { rowCount } = UUID.test(id)
    ? await db.query(
        `with cancelled as (
           update sync_async.reports set state = 'cancelled', lease = null, leased_until = null, finished_at = now()
           where id = $1 and state in ('queued', 'running')
           returning id
         )
         select pg_notify('${CHANNELS.cancelled}', id::text) from cancelled`,
        [id],
      )
    : { rowCount: 0 };
  if (rowCount) return;
  const { state } = await find(db, id);
  if (state !== 'cancelled')
    throw new HttpProblem(409, { detail: `the report is ${state}: nothing is left to cancel` });
}
// #endregion

/**
 * Lets go of results that nobody has fetched for `keepMs`, and forgets their jobs, and with them their keys, after thirty
 * times as long. Any number of servers may do so at once.
 */
export async function sweep(db: Pool, keepMs: number): Promise<void> {
  await db.query(
    `update sync_async.reports set state = 'expired', result = null
     where state in ('done', 'failed', 'cancelled') and finished_at < now() - make_interval(secs => $1)`,
    [keepMs / 1_000],
  );
  await db.query(
    `delete from sync_async.reports where state = 'expired' and finished_at < now() - make_interval(secs => $1)`,
    [(keepMs * 30) / 1_000],
  );
}

/** How many wait and run, for metrics. */
export async function countPending(db: Pool): Promise<{ queued: number; running: number }> {
  const { rows } = await db.query<{ queued: number; running: number }>(
    `select count(*) filter (where state = 'queued')::int as queued, count(*) filter (where state = 'running')::int as running
     from sync_async.reports where state in ('queued', 'running')`,
  );
  return rows[0]!;
}

const statusOf = ({ id, state, attempts }: Status): Status => ({ id, state, attempts });

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
