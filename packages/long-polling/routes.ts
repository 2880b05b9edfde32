/** What is answered at once: a report is ordered, the metrics, and whatever is not here. */
import { randomUUID } from 'node:crypto';
import type { Feed } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import { answerError, methodNotAllowed, notFound } from '@patterns/kit/problem';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { problemOf } from './answers.ts';
import type { Metrics } from './metrics.ts';
import { type Notice, parseOrder, REPORTS_PATH, UPDATES_PATH } from './protocol.ts';

export interface RoutesOptions {
  feed: Feed<Notice>;
  metrics: Metrics;
  log: Log;
}

export function createRoutes({ feed, metrics, log }: RoutesOptions): Express {
  const app = express().disable('x-powered-by').disable('etag');
  // #region order
  app.post(REPORTS_PATH, express.json({ limit: '1kb' }), async (request, response) => {
    const title = parseOrder(request.body);
    const id = randomUUID();
    await feed.append(id, { type: 'report-ordered', title });
    response.status(202).location(`${REPORTS_PATH}/${id}`).json({ id, title });
  });
  // #endregion
  app.all(REPORTS_PATH, methodNotAllowed('POST'));
  app.all([UPDATES_PATH, `${REPORTS_PATH}/:id`], methodNotAllowed('GET'));
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.use(notFound, (error: unknown, _request: Request, response: Response, _next: NextFunction) =>
    answerError(log, response, problemOf(error)),
  );
  return app;
}
