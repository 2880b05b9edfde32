/** What to watch on either server, in Prometheus's text format: how many requests, how many failed, how long they took. */
import type { NextFunction, Request, Response } from 'express';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Database } from './database.ts';

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics(database: Database) {
  const registry = new Registry();
  const registers = [registry];
  const seconds = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'From the request to the end of its answer',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers,
  });
  new Counter({
    name: 'sql_statements_total',
    help: 'SQL statements that requests have sent',
    registers,
    collect() {
      this.reset();
      this.inc(database.statements);
    },
  });
  new Gauge({
    name: 'pool_waiting',
    help: 'Callers that wait for a database connection now: rises before anything fails',
    registers,
    collect() {
      this.set(database.waiting);
    },
  });
  return {
    registry,
    /** Middleware: measures a request until its response is closed. */
    watch: (request: Request, response: Response, next: NextFunction): void => {
      const stop = seconds.startTimer({ method: request.method });
      response.once('close', () => {
        // The pattern that Express has found, not the path: of patterns there are few.
        const { path = 'none' } = (request.route ?? {}) as { path?: string };
        stop({ route: path, status: response.statusCode });
      });
      next();
    },
  };
}
