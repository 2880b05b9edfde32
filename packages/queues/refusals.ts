/** What a queue says no to, as an answer over HTTP. */
import { HttpProblem } from '@patterns/kit/problem';
import type { ErrorRequestHandler } from 'express';
import { QueueError } from './job.ts';

/** Express's error handler for what queues throw; everything else goes on to the next one. */
export function sayFull(onRefused: () => void): ErrorRequestHandler {
  return (error, _request, _response, next) => {
    if (!(error instanceof QueueError)) return next(error);
    const { code, message, retryAfterMs = 1_000 } = error;
    if (code === 'too-large') return next(new HttpProblem(413, { detail: message, cause: error }));
    if (code !== 'full' && code !== 'unavailable') return next(error);
    onRefused();
    // Half to one and a half times as long: those who were refused together do not come back together. At least a second: the
    // header knows no less [RFC 9110 §10.2.3].
    const seconds = Math.max(1, Math.round((retryAfterMs / 1_000) * (0.5 + Math.random())));
    next(new HttpProblem(503, { detail: message, cause: error, headers: { 'Retry-After': String(seconds) } }));
  };
}
