/**
 * What every service here has around its routes: a span, a log line and a measurement for each request, liveness, readiness, errors
 * as problems, and an end that lets what is in flight finish.
 *
 * `/live` says that the process answers, and asks nobody: a service that is restarted because its database is slow makes it slower.
 * `/ready` says whether it wants requests now.
 */
import { createServer } from 'node:http';
import { sayUnavailable } from '@patterns/connection-pooling/unavailable';
import { type Listening, listen } from '@patterns/kit/listen';
import { type Log, logRequests } from '@patterns/kit/log';
import { HttpProblem, notFound, problemHandler } from '@patterns/kit/problem';
import express, { type Express, type RequestHandler } from 'express';
import { sayDependency } from './dependency-error.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { spanOf } from './spans.ts';

export interface ServiceOptions {
  name: string;
  log: Log;
  port?: number | undefined;
  /** A Unix socket instead: whoever may ask goes through what stands before it. */
  socketPath?: string | undefined;
  /** Adds the service's own routes. Its gauges go into `metrics.registry`. */
  routes: (app: Express, metrics: Metrics) => void;
  /** Whether it wants requests now. It must not ask what its neighbours have. */
  ready?: () => boolean | Promise<boolean>;
  /** Whoever asks is a stranger: a trace that they bring is not taken over, since nobody could look up where it began. */
  isEdge?: boolean;
  graceMs?: number | undefined;
}

/** Longer than a caller keeps an idle connection (30 s, dependency.ts): whoever reuses connections must be who closes them. */
const KEEP_ALIVE_MS = 75_000;

/** Starts a service. Disposed it drains: it is no longer ready, accepts nothing, and answers what is in flight. */
export async function serve(options: ServiceOptions): Promise<Listening> {
  const { name, log, port, socketPath, routes, ready = () => true, isEdge = false, graceMs } = options;
  const metrics = createMetrics(name);
  const app = express().disable('x-powered-by').disable('etag');
  let listening: Listening | undefined;

  // Before the log: they are asked every few seconds, and nobody wants to read of it.
  app.get('/live', (_request, response) => void response.json({ status: 'alive' }));
  app.get('/ready', async (_request, response) => {
    if (listening?.closing.aborted !== false || !(await ready())) throw new HttpProblem(503, { detail: 'not ready' });
    response.json({ status: 'ready' });
  });
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });

  if (isEdge) app.use(beginTrace);
  app.use(observe(metrics), logRequests(log));
  routes(app, metrics);
  app.use(notFound, sayUnavailable, sayDependency, problemHandler(log));

  const timeouts = {
    headersTimeout: 5_000,
    requestTimeout: 10_000,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1_000,
  };
  listening = await listen(createServer(timeouts, app), { port, socketPath, graceMs });
  return listening;
}

const beginTrace: RequestHandler = (request, _response, next) => {
  delete request.headers.traceparent;
  next();
};

/** A span and a measurement for each request, under the name of its route: `GET /orders/:id` is one, with however many orders. */
export function observe(metrics?: Metrics): RequestHandler {
  return (request, response, next) => {
    const span = spanOf(response);
    const startedAt = performance.now();
    response.once('close', () => {
      const route = request.route ? `${request.baseUrl}${request.route.path}` : 'none';
      const { statusCode: status } = response;
      metrics?.requests.observe({ method: request.method, route, status }, (performance.now() - startedAt) / 1_000);
      span.name = `${request.method} ${route}`;
      span.set('http.request.method', request.method);
      span.set('http.route', route);
      span.set('http.response.status_code', status);
      span.end(status >= 500 ? `status ${status}` : undefined);
    });
    next();
  };
}
