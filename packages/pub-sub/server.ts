/**
 * The newsroom's door: `POST /news` publishes a story to whoever listens, and to whoever reads it later.
 *
 * Unlike the other ways to push, this server knows none of its readers: they are at Redis, and it could not tell them apart. What it
 * owes them is that each story has a number and is in the log before anybody hears it (newsroom.ts). Ends on SIGTERM.
 */
import { createServer } from 'node:http';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import { toTraceparent, traceOf } from '@patterns/kit/trace';
import { findRedis } from '@patterns/services/redis';
import express from 'express';
import { createMetrics } from './metrics.ts';
import { complaintsAbout, type News } from './news.ts';
import { Newsroom } from './newsroom.ts';
import { DEFAULT_PREFIX, PubSubError } from './protocol.ts';
import { report } from './reporter.ts';

export interface ServerOptions {
  newsroom: Newsroom;
  port?: number;
  log?: Log;
  graceMs?: number;
}

/** Starts the door of a newsroom. Any number of servers may publish to one channel: Redis gives the numbers. */
export async function startServer({
  newsroom,
  port,
  log = createLog('pub-sub'),
  graceMs,
}: ServerOptions): Promise<Listening> {
  const metrics = createMetrics(newsroom);
  const app = express().disable('x-powered-by').use(logRequests(log));

  // #region publish
  app.post('/news', express.json({ limit: '64kb' }), async (request, response) => {
    const errors = complaintsAbout(request.body);
    if (errors.length > 0) throw new HttpProblem(422, { detail: 'this is no story', errors });
    const { title, content } = request.body as News;
    const done = metrics.publishSeconds.startTimer();
    const published = await newsroom.publish({ title, content }, toTraceparent(traceOf(response))).catch((error) => {
      // It may be published, and it may not: only the caller knows whether twice is better than not at all.
      throw error instanceof PubSubError ? new HttpProblem(503, { detail: error.code, cause: error }) : error;
    });
    done();
    metrics.published.inc();
    metrics.receivers.set(published.receivers);
    if (published.receivers === 0) metrics.unheard.inc();
    response.status(201).json(published);
  });
  // #endregion
  app.all('/news', methodNotAllowed('POST'));
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.use(notFound, problemHandler(log));
  return await listen(createServer(app), { port, graceMs });
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const log = createLog('pub-sub');
    const byHand = !process.env.REDIS_URL;
    const redis = stack.use(await findRedis({ signal }));
    const prefix = process.env.REDIS_PREFIX ?? DEFAULT_PREFIX;
    const onProblem = ({ code, message }: PubSubError) => log.warn(code, { detail: message });
    const newsroom = stack.use(
      new Newsroom({ url: redis.url, prefix, retain: envInteger('RETAIN', 10_000), onProblem }),
    );
    const server = stack.use(await startServer({ newsroom, port: envPort(), log }));
    console.log(redis.about);
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: pnpm -C packages/pub-sub client ${redis.url}`);
    console.log(`                 or: redis-cli -u ${redis.url} SUBSCRIBE ${newsroom.channel}`);
    console.log(
      `and to publish: curl -H 'Content-Type: application/json' -d '{"title":"Breaking News","content":"Important update!"}' ${server.url}/news`,
    );
    if (byHand) await report(newsroom, { everyMs: 2_000, count: Number.POSITIVE_INFINITY, signal });
  });
}
