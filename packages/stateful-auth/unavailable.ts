/**
 * What is said when Redis or PostgreSQL does not answer: later. Not 401, which would log everybody out in their heads, and not a
 * page for strangers.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { ErrorRequestHandler } from 'express';
import pg from 'pg';
import { SessionStoreError } from './session-store.ts';

/** 2 s: longer than the connections need to come back, once there is something to connect to. */
const RETRY_AFTER_SECONDS = '2';

// #region unavailable
/** Express: makes a 503 of a service that is away, and passes on the rest. */
export const sayUnavailable: ErrorRequestHandler = (error, _request, _response, next) => {
  const isAway = error instanceof SessionStoreError || isDatabaseAway(error);
  if (!isAway) return next(error);
  const detail = 'your session cannot be seen to just now: it is not lost';
  next(new HttpProblem(503, { detail, headers: { 'Retry-After': RETRY_AFTER_SECONDS }, cause: error }));
};
// #endregion

/** Classes of SQLSTATE: 08 connection, 53 resources, 57 the operator (57014: a statement took too long). */
function isDatabaseAway(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return /^(08|53|57)/.test(error.code ?? '');
  const { code = '', message = '' } = error as { code?: string; message?: string };
  // pg has no codes for its own.
  return (
    /^E[A-Z]+$/.test(code) || /^(Query read timeout|timeout exceeded when trying|Connection terminated)/.test(message)
  );
}
