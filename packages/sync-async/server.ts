/**
 * One report, to be had by phone or by e-mail.
 *
 * By phone the caller waits while it is computed: in a thread, so that the event loop stays free for everybody else, and for as
 * long as the caller stays on the line. By e-mail the caller is told "accepted" as soon as the job is on disk, and comes back
 * for the result; the work is done by `worker.ts`, whatever becomes of this process or of the caller.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { repeat } from '@patterns/kit/background';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import { findPostgres } from '@patterns/services/postgres';
import express from 'express';
import { openDatabase } from './database.ts';
import { whenNobodyWaits } from './departure.ts';
import { accept, cancel, countPending, find, sweep } from './jobs.ts';
import { watchEventLoop, watchReports } from './metrics.ts';
import { openPool } from './pool.ts';
import { LIMITS, PING_PATH, parseRequest, REPORT_PATH, REPORTS_PATH, readKey, type State } from './protocol.ts';
import { currentTrace, traced } from './tracing.ts';

export interface ServerOptions {
  databaseUrl: string;
  port?: number;
  log?: Log;
  /** See pool.ts. */
  threads?: number | undefined;
  maxQueue?: number;
  /** Jobs that may wait or run. At a second for each, and one worker, the last is done in a minute and a half. */
  maxPending?: number;
  /** How long a caller is left waiting on the phone. 20 s: proxies hang up after 30 s or more. */
  waitMs?: number;
  /** What a client is told to wait before it asks again where its report stands. */
  retryAfterSeconds?: number;
  /** How long a result is kept. A day: who has not come by then does not come. */
  keepMs?: number;
  graceMs?: number;
}

const SWEEP_MS = 3_600_000;

/** Opens the service. Any number of servers may share one database. */
export async function startServer({
  databaseUrl,
  port,
  log = createLog('sync-async'),
  threads,
  maxQueue,
  maxPending = 100,
  waitMs = 20_000,
  retryAfterSeconds = 1,
  keepMs = 86_400_000,
  graceMs,
}: ServerOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const db = opened.adopt(await openDatabase(databaseUrl, { size: 5 }), (pool) => pool.end());
  const pool = opened.use(openPool({ threads, maxQueue, log }));
  const { registry } = opened.use(watchEventLoop());
  watchReports(registry, pool, () => countPending(db));
  const retryAfter = String(retryAfterSeconds);

  const app = express().disable('x-powered-by').disable('etag');
  app.use(logRequests(log), traced);
  app.get(PING_PATH, (_request, response) => void response.json({ pong: true }));

  // #region phone
  app.get(REPORT_PATH, async (request, response) => {
    const wanted = parseRequest(request.query, LIMITS.rowsByPhone);
    response.json(await pool.run(wanted, whenNobodyWaits(response, waitMs)));
  });
  // #endregion

  // #region e-mail
  app.post(REPORTS_PATH, express.json({ limit: LIMITS.bodyBytes }), async (request, response) => {
    const key = readKey(request.get('Idempotency-Key'));
    const status = await accept(db, parseRequest(request.body), { key, maxPending });
    log.info('accepted', { job: status.id, traceId: currentTrace().traceId });
    response
      .status(202)
      .set({ Location: `${REPORTS_PATH}/${status.id}`, 'Retry-After': retryAfter })
      .json(status);
  });

  app.get(`${REPORTS_PATH}/:id`, async (request, response) => {
    const { result: _, ...status } = await find(db, request.params.id);
    response.set('Cache-Control', 'no-store');
    if (status.state === 'done') response.status(303).location(`${REPORTS_PATH}/${status.id}/result`).end();
    else if (isFinal(status.state)) throw endOf(status.state);
    else response.set('Retry-After', retryAfter).json(status);
  });
  // #endregion

  app.delete(`${REPORTS_PATH}/:id`, async (request, response) => {
    await cancel(db, request.params.id);
    response.status(204).end();
  });

  app.get(`${REPORTS_PATH}/:id/result`, async (request, response) => {
    const { state, result } = await find(db, request.params.id);
    if (result) return void response.json(result);
    throw isFinal(state) ? endOf(state) : new HttpProblem(404, { detail: `there is no result yet: it is ${state}` });
  });

  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  app.all([PING_PATH, REPORT_PATH, `${REPORTS_PATH}/:id/result`], methodNotAllowed('GET, HEAD'));
  app.all(REPORTS_PATH, methodNotAllowed('POST'));
  app.all(`${REPORTS_PATH}/:id`, methodNotAllowed('GET, HEAD, DELETE'));
  app.use(notFound, problemHandler(log));

  // Released in reverse order: first the drain, in which callers who wait are answered; the pool and the database last.
  opened.use(repeat(SWEEP_MS, () => sweep(db, keepMs), log));
  const { url } = opened.use(await listen(createServer(app), { port, graceMs }));
  const running = opened.move();
  return { url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

const isFinal = (state: State) => state !== 'queued' && state !== 'running';

/** What is told of a report that there is not, and will not be. */
function endOf(state: State): HttpProblem {
  if (state === 'failed') return new HttpProblem(500, { detail: 'the report failed; asking again does not help' });
  return new HttpProblem(410, { detail: `the report is ${state}` });
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const { url: databaseUrl } = stack.use(await findPostgres({ progress: console.log, signal }));
    // With WORKERS=0 you start them yourself, in another terminal or on another machine: pnpm -C packages/sync-async worker
    for (let started = 0; started < envInteger('WORKERS', 1); started++) {
      const worker = fork(new URL('worker.ts', import.meta.url), {
        env: { ...process.env, DATABASE_URL: databaseUrl },
      });
      const exited = once(worker, 'exit');
      signal.addEventListener('abort', () => worker.kill()); // they finish their work while we finish ours
      stack.defer(async () => {
        worker.kill();
        await exited;
      });
    }
    const threads = envInteger('THREADS', 0) || undefined;
    const server = stack.use(await startServer({ databaseUrl, port: envPort(), threads }));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: pnpm -C packages/sync-async client ${server.url}`);
    console.log(`                 or: curl -i '${server.url}${REPORT_PATH}?account=7&rows=2000000'`);
  });
}
