/**
 * Does the jobs that the server accepted, in a process of its own: neither is disturbed by the other, and either may die.
 *
 * It computes in a thread, because its event loop has something to do meanwhile: it renews the lease, and hears when the job is
 * cancelled. On SIGTERM it takes no more jobs, finishes what it has if that is soon, and gives back the rest.
 */
import { envInteger } from '@patterns/kit/env';
import { createLog, type Log } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { continueTrace } from '@patterns/kit/trace';
import { findPostgres } from '@patterns/services/postgres';
import { CHANNELS, openDatabase } from './database.ts';
import { claim, fail, failExhausted, finish, giveBack, type Lease, renew } from './lease.ts';
import { listenTo } from './notifications.ts';
import { openPool } from './pool.ts';
import type { Report } from './protocol.ts';
import { currentTrace, inTrace } from './tracing.ts';

export interface WorkerOptions {
  databaseUrl: string;
  log?: Log;
  /** Jobs at a time. */
  threads?: number;
  /** After so long a silence the job is somebody else's. 5 s: longer than a garbage collection, or a restart of PostgreSQL. */
  leaseMs?: number;
  /** Jobs are looked for as often as this, should a notification get lost; and it is how a dead worker's jobs are found. */
  pollMs?: number;
  maxAttempts?: number;
  /** How long what it has may take when it is stopped. */
  graceMs?: number;
}

type Outcome = { report: Report } | { error: Error };

/** Starts a worker. Any number of them may share one database. */
export async function startWorker({
  databaseUrl,
  log = createLog('sync-async-worker'),
  threads = 1,
  leaseMs = 5_000,
  pollMs = 1_000,
  maxAttempts = 3,
  graceMs = 5_000,
}: WorkerOptions): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const db = opened.adopt(await openDatabase(databaseUrl, { size: threads + 1 }), (pool) => pool.end());
  // Unbounded, since we ask for no more than `threads` at a time. One that was stopped needs some milliseconds to notice.
  const pool = opened.use(openPool({ threads, maxQueue: Number.POSITIVE_INFINITY, log }));
  const jobs = new Map<string, { stop: AbortController; beat: () => Promise<void> }>();
  const leaving = new AbortController(); // what is not finished by then is given back
  let isStopping = false;

  // What may have changed rings the bell: a new job, a cancelled one, a lost connection, the clock.
  let bell = Promise.withResolvers<void>();
  const ring = () => {
    bell.resolve();
    bell = Promise.withResolvers();
  };

  // #region work
  async function work(): Promise<void> {
    while (!isStopping) {
      const rung = bell.promise; // armed before looking: what comes in between is not missed
      const job = await takeJob();
      if (job) await inTrace(continueTrace(job.traceparent), () => perform(job));
      else await rung;
    }
  }

  async function perform(job: Lease): Promise<void> {
    const stop = new AbortController();
    const beat = async () => {
      const isOurs = await renew(db, job, leaseMs).catch(() => true); // PostgreSQL is away: perhaps only for a moment
      if (!isOurs) stop.abort('cancelled, or leased by another worker');
    };
    jobs.set(job.id, { stop, beat });
    const heartbeat = setInterval(() => void beat(), leaseMs / 3);
    const signal = AbortSignal.any([stop.signal, leaving.signal]);
    const outcome = await pool.run(job, signal).then(
      (report) => ({ report }),
      (error: Error) => ({ error }),
    );
    await settle(job, outcome, signal).catch((error) => log.error('the job is left to its lease', { error }));
    clearInterval(heartbeat);
    jobs.delete(job.id);
  }

  async function settle(job: Lease, outcome: Outcome, { aborted, reason }: AbortSignal): Promise<void> {
    if ('report' in outcome) {
      tell(job, (await finish(db, job, outcome.report)) ? 'done' : 'too late: it is not ours any more');
    } else if (!aborted) {
      // Pure computation: what failed once fails again.
      log.error('a report failed', { error: outcome.error, job: job.id, traceId: currentTrace().traceId });
      await fail(db, job, outcome.error.message);
    } else {
      if (leaving.signal.aborted) await giveBack(db, job);
      tell(job, `stopped: ${reason}`);
    }
  }
  // #endregion

  async function takeJob(): Promise<Lease | undefined> {
    try {
      await failExhausted(db, maxAttempts);
      const job = await claim(db, { leaseMs, maxAttempts });
      if (job) inTrace(continueTrace(job.traceparent), () => tell(job, 'begun'));
      return job;
    } catch (error) {
      log.warn('no job to be had', { reason: (error as Error).message });
      return undefined;
    }
  }

  const tell = ({ id, attempts }: Lease, what: string) =>
    log.info('job', { job: id, what, attempts, traceId: currentTrace().traceId });

  const channels = {
    [CHANNELS.accepted]: ring,
    [CHANNELS.cancelled]: (id: string) => jobs.get(id)?.stop.abort('cancelled'),
  };
  // What was notified before is not told again: a new job waits, and one of ours may be cancelled.
  const onListening = () => {
    ring();
    for (const { beat } of jobs.values()) void beat();
  };
  opened.use(listenTo({ url: databaseUrl, channels, onListening, log }));
  const poll = setInterval(ring, pollMs);
  const working = Array.from({ length: threads }, work);
  opened.defer(async () => {
    isStopping = true;
    clearInterval(poll);
    ring();
    const force = setTimeout(() => leaving.abort('the worker is stopping'), graceMs);
    await Promise.all(working);
    clearTimeout(force);
  });
  const running = opened.move();
  return { [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const { url: databaseUrl } = stack.use(await findPostgres({ progress: console.log, signal }));
    const leaseMs = envInteger('LEASE_MS', 5_000, { min: 100 });
    const threads = envInteger('THREADS', 1, { min: 1 });
    stack.use(await startWorker({ databaseUrl, leaseMs, threads }));
    console.log('working');
  });
}
