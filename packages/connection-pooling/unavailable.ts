/**
 * Which failures of the database are worth asking again for: 503 with Retry-After, and only where it is certain that nothing
 * was done. A connection that breaks during COMMIT is not one of them: nobody knows whether it was committed (500).
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { ErrorRequestHandler } from 'express';
import pg from 'pg';
import { PoolError } from './database.ts';

/** 1 s: the timeouts that lead here take one or two seconds, so a sooner attempt would meet the same queue. */
const RETRY_AFTER_SECONDS = 1;

/** The server has undone the statement, and with it the transaction. */
const UNDONE = new Map([
  ['55P03', 'a lock was not to be had in time'],
  ['57014', 'the statement took too long'],
  ['40P01', 'a deadlock was broken'],
  ['40001', 'somebody else changed the same rows'],
]);

/** Express: turns what is temporary into a 503, and passes on the rest. */
export const sayUnavailable: ErrorRequestHandler = (error, _request, _response, next) => next(asProblem(error));

function asProblem(error: unknown): unknown {
  const isNoClient = error instanceof PoolError && error.code !== 'nested';
  const detail = isNoClient
    ? 'no connection to the database was free in time'
    : error instanceof pg.DatabaseError && UNDONE.get(error.code ?? '');
  if (!detail) return error;
  return new HttpProblem(503, {
    detail: `${detail}: nothing was done`,
    headers: { 'Retry-After': String(RETRY_AFTER_SECONDS) },
    cause: error,
  });
}
