/**
 * A worker: tells customers of their payments, and judges what was submitted. `node worker.ts` prints nothing but its log; start
 * it as often as you like, and kill it whenever you like.
 *
 * What there is to a worker is in work.ts; here are its two kinds of work. They are apart: each has its queue, and as many hands
 * as suit it. It ends on SIGTERM: nothing more is taken, what is in hand is finished, or given back.
 */
import { createServer } from 'node:http';
import { envInteger, envUrl } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { continueTrace } from '@patterns/kit/trace';
import express from 'express';
import { chosenBroker, openQueues } from './backends.ts';
import { openDatabase } from './database.ts';
import { gatewayFromEnv } from './gateway.ts';
import { judge } from './judge.ts';
import { createWorkerMetrics } from './metrics.ts';
import { notifier } from './notifications.ts';
import { type Handler, type JobReport, work } from './work.ts';

/** Notes the beginning of a job, as `logSettled` does its end, with the trace of the request that asked for it. */
function logTaken(log: Log, handler: Handler): Handler {
  return (job, context) => {
    if (log.isDebugEnabled()) log.debug('taken', nameOf({ job, attempt: context.attempt }));
    return handler(job, context);
  };
}

function logSettled(log: Log, { job, attempt, as, reason, workMs, ageMs }: JobReport): void {
  const level = as === 'dead' || as === 'lost' ? 'warn' : 'info';
  log.log(level, as, { ...nameOf({ job, attempt }), reason, workMs: Math.round(workMs), ageMs: Math.round(ageMs) });
}

function nameOf({ job: { kind, id, traceparent }, attempt }: Pick<JobReport, 'job' | 'attempt'>) {
  return { kind, job: id, attempt, traceId: continueTrace(traceparent).traceId };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const hint = 'start `node server.ts` first, it prints the line that starts its worker';
    const databaseUrl = envUrl('DATABASE_URL', { protocols: ['postgres:', 'postgresql:'], hint });
    const log = createLog('worker');
    const metrics = createWorkerMetrics();
    const pool = stack.adopt(await openDatabase(databaseUrl), (pool) => pool.end());
    const { notifications, submissions } = await openQueues(chosenBroker(), stack);

    const options = {
      signal,
      leaseMs: envInteger('LEASE_MS', 30_000, { min: 1 }),
      maxAttempts: envInteger('MAX_ATTEMPTS', 5, { min: 1 }),
      backoff: { baseMs: envInteger('BACKOFF_MS', 1_000) },
      onProblem: (problem: Error) => log.warn('broker', { reason: problem.message }),
      onSettled: (report: JobReport) => {
        metrics.settled(report);
        logSettled(log, report);
      },
    };
    // #region work
    const notify = notifier({ pool, gateway: gatewayFromEnv() });
    const working = Promise.all([
      work(
        notifications,
        { notify: logTaken(log, notify) },
        { ...options, concurrency: envInteger('NOTIFY_AT_ONCE', 10) },
      ),
      // Judging is computing: more at a time than there are cores would only make each of them slower.
      work(
        submissions,
        { judge: logTaken(log, judge({ pool, maxAttempts: options.maxAttempts })) },
        { ...options, concurrency: envInteger('JUDGE_AT_ONCE', 2) },
      ),
    ]);
    // #endregion
    stack.defer(() => working.then(() => {})); // released in reverse order: the work first, then its queues and the pool

    const port = envInteger('METRICS_PORT', 0, { max: 65_535 });
    if (port > 0) {
      const app = express().get('/metrics', async (_request, response) => {
        response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
      });
      stack.use(await listen(createServer(app), { port }));
    }
    log.info('waiting for jobs', { broker: notifications.broker });
    await working;
  });
}
