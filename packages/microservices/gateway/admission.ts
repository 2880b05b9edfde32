/**
 * Load shedding by priority: when too much is under way, whoever only looks is sent away first, so that who orders still can.
 *
 * It is decided before any work is done, by the number of requests in flight: a queue would only have them wait until their
 * callers have given up. A stream does not count here, since it hardly costs anything once it is open (events.ts has a limit for it).
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { RequestHandler } from 'express';

/** What a kind of request may fill of the room there is. Logging in comes with ordering: nobody orders without. */
const SHARES = { browsing: 0.5, ordering: 1 } as const;

export type Priority = keyof typeof SHARES;

export interface Admission {
  /** Lets a request in, or answers 503 with Retry-After. */
  admit(priority: Priority): RequestHandler;
  readonly inFlight: number;
}

/** @param most requests in flight, in all. */
export function openAdmission(most: number): Admission {
  let inFlight = 0;
  return {
    get inFlight() {
      return inFlight;
    },
    admit: (priority) => (_request, response, next) => {
      if (inFlight >= most * SHARES[priority])
        throw new HttpProblem(503, { detail: `too much to do for ${priority} now`, headers: { 'Retry-After': '1' } });
      inFlight++;
      response.once('close', () => inFlight--);
      next();
    },
  };
}
