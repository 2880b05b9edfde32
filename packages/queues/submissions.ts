/**
 * Submissions: code goes into the line, and the answer is a place where its verdict will be.
 *
 * Row and job are made together without an outbox, because who submits is told at once that the line is full: the job is put on
 * the queue inside the row's transaction. If the queue refuses, there is no row either. If the commit fails after the queue
 * took it, the job is judged though nobody waits for it: it carries all that is needed, the row too (judge.ts).
 */
import { HttpProblem, methodNotAllowed } from '@patterns/kit/problem';
import { toTraceparent, traceOf } from '@patterns/kit/trace';
import express, { type Response, type Router } from 'express';
import type pg from 'pg';
import { transaction } from './database.ts';
import { newJob } from './job.ts';
import { SUBMISSIONS_PATH } from './protocol.ts';
import type { Queue } from './queue.ts';
import { parseSubmission, SUBMISSION_BODY_BYTES, type SubmissionStatus, type Verdict } from './submission.ts';
import { SubmissionWatch } from './submission-watch.ts';

export interface SubmissionsOptions {
  pool: pg.Pool;
  queue: Queue;
  /** Ends the streams: the server stops. */
  signal?: AbortSignal;
  /** Streams at a time; beyond, 503. Whoever is refused can still poll. */
  maxStreams?: number;
}

/** Sooner than the 30 s after which proxies cut a silent connection. */
const HEARTBEAT_MS = 15_000;

export function submissionsRouter({ pool, queue, signal, maxStreams = 1_000 }: SubmissionsOptions): Router {
  const router = express.Router();
  const watch = new SubmissionWatch((ids) => findSubmissions(pool, ids));

  // #region submit
  router.post(SUBMISSIONS_PATH, express.json({ limit: SUBMISSION_BODY_BYTES }), async (request, response) => {
    const data = parseSubmission(request.body);
    const job = newJob({ kind: 'judge', data, traceparent: toTraceparent(traceOf(response)) });
    await transaction(pool, async (client) => {
      await client.query('insert into shop.submissions (id, at) values ($1, $2)', [job.id, job.at]);
      await queue.enqueue([job]); // when the line is full it throws, and there is no row either
    });
    const status: SubmissionStatus = { id: job.id, at: job.at, state: 'queued', verdict: null };
    response.status(202).location(`${SUBMISSIONS_PATH}/${job.id}`).json(status);
  });
  // #endregion
  router.all(SUBMISSIONS_PATH, methodNotAllowed('POST'));

  // #region follow
  router.get(`${SUBMISSIONS_PATH}/:id`, async (request, response) => {
    const { id } = request.params;
    const [status] = UUID.test(id) ? await findSubmissions(pool, [id]) : [];
    if (!status) throw new HttpProblem(404, { detail: 'there is no such submission' });
    response.vary('Accept').set('Cache-Control', 'no-store');
    const wantsStream = request.accepts(['json', 'text/event-stream']) === 'text/event-stream';
    if (wantsStream && request.method === 'GET') return stream(status, response);
    if (status.state !== 'done') response.set('Retry-After', '1');
    response.json(status);
  });

  function stream(first: SubmissionStatus, response: Response): void {
    if (watch.size >= maxStreams || signal?.aborted) {
      throw new HttpProblem(503, { detail: 'too many streams are open', headers: { 'Retry-After': '5' } });
    }
    // `no-transform` keeps compressing middleboxes away, `X-Accel-Buffering` makes nginx pass each event on at once.
    response.set({ 'Cache-Control': 'no-store, no-transform', 'X-Accel-Buffering': 'no' }).type('text/event-stream');
    const end = () => response.end(); // nobody resumes: whoever comes again is told the state of then
    const heartbeat = setInterval(() => response.write(':\n\n'), HEARTBEAT_MS);
    const forget = watch.watch(first, (status) => {
      response.write(`event: status\ndata: ${JSON.stringify(status)}\n\n`);
      if (status.state === 'done') end();
    });
    signal?.addEventListener('abort', end);
    response.once('close', () => {
      clearInterval(heartbeat);
      forget();
      signal?.removeEventListener('abort', end);
    });
  }
  // #endregion
  router.all(`${SUBMISSIONS_PATH}/:id`, methodNotAllowed('GET, HEAD'));
  return router;
}

async function findSubmissions(pool: pg.Pool, ids: readonly string[]): Promise<SubmissionStatus[]> {
  const { rows } = await pool.query<{ id: string; at: Date; started: boolean; verdict: Verdict | null }>(
    'select id, at, started_at is not null as started, verdict from shop.submissions where id = any($1)',
    [ids],
  );
  return rows.map(({ id, at, started, verdict }) => {
    const state = verdict ? 'done' : started ? 'running' : 'queued';
    return { id, at: at.toISOString(), state, verdict };
  });
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
