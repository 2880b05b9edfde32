/** What to watch on a polled server, in Prometheus's text format at `/metrics`: above all, how many polls were for nothing. */
import type { RequestHandler } from 'express';
import { Counter, Gauge, Registry } from 'prom-client';

/** How a poll ended: `empty` had no news and a body all the same, because the client knew of no tag, or the interval changed. */
export type PollResult = 'news' | 'empty' | 'not-modified' | 'expired' | 'refused';

/** A registry per server, so that two servers in one process do not share their numbers. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const inFlight = new Gauge({ name: 'polling_in_flight', help: 'Polls that are being answered now', registers });
  const countInFlight: RequestHandler = (_request, response, next) => {
    inFlight.inc();
    response.on('close', () => inFlight.dec());
    next();
  };
  return {
    registry,
    countInFlight,
    polls: new Counter<'result'>({
      name: 'polling_polls_total',
      help: 'Polls, by how they ended. Without news: empty and not-modified; the latter are the cheap ones',
      labelNames: ['result'],
      registers,
    }),
    interval: new Gauge({
      name: 'polling_interval_seconds',
      help: 'The interval that clients are asked for',
      registers,
    }),
  };
}
