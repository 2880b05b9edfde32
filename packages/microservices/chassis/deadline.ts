/**
 * How long somebody still waits for the answer, passed on from hop to hop: nobody works for a caller who has given up, and no
 * callee is given more time than its caller has.
 *
 * What travels is the time that is left, and not a point in time: two machines need not have the same clock (gRPC does it the
 * same way, with `grpc-timeout`). What the network takes is nobody's, so each hop keeps a reserve.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Request } from 'express';

/** Milliseconds that are left, as an integer. */
export const DEADLINE_HEADER = 'Deadline-Ms';

export interface Deadline {
  /** Milliseconds; never below 0. */
  leftMs(): number;
  /** Aborts when the time is over (its reason: HttpProblem 504), or when the caller has left (499). */
  readonly signal: AbortSignal;
}

// #region deadline
/** A deadline `ms` milliseconds from now. @param until ends it sooner. */
export function newDeadline(ms: number, until?: AbortSignal): Deadline {
  const at = performance.now() + ms;
  const late = new AbortController();
  // unref: a deadline keeps no process alive.
  setTimeout(() => late.abort(new HttpProblem(504, { detail: 'not done in time' })), ms).unref();
  return {
    leftMs: () => Math.max(0, at - performance.now()),
    signal: until ? AbortSignal.any([until, late.signal]) : late.signal,
  };
}

/**
 * The deadline of a request: what its caller says, and never more than `maxMs`, which is also that of a caller who says nothing.
 * @throws {HttpProblem} 400 when the header makes no sense.
 */
export function deadlineOf(request: Request, { maxMs }: { maxMs: number }): Deadline {
  const text = request.get(DEADLINE_HEADER);
  if (text !== undefined && !/^\d{1,9}$/.test(text)) {
    const errors = [{ field: DEADLINE_HEADER, expected: 'milliseconds, an integer' }];
    throw new HttpProblem(400, { detail: 'the deadline is not as it should be', errors });
  }
  return newDeadline(Math.min(maxMs, Number(text ?? maxMs)), whenLeft(request));
}

/** What a callee is given: `reserveMs` less than we have, so that we can still answer when it does not. */
export function shrink(deadline: Deadline, reserveMs: number): Deadline {
  return newDeadline(Math.max(0, deadline.leftMs() - reserveMs), deadline.signal);
}
// #endregion

/** The response is what tells that the caller has gone: `close` of the request comes as soon as its body has been read. */
function whenLeft({ res: response }: Request): AbortSignal | undefined {
  if (!response) return undefined;
  const left = new AbortController();
  response.once('close', () => {
    if (!response.writableEnded) left.abort(new HttpProblem(499, { detail: 'the caller has left' }));
  });
  return left.signal;
}
