/** What the feed refuses, as a client should hear it: what happened, and what to do now. */
import { FeedError } from '@patterns/feed/feed';
import { HttpProblem } from '@patterns/kit/problem';
import { UPDATES_PATH } from './protocol.ts';

/** 410 for an expired cursor, 503 for a feed that does not answer; anything else as it is. */
export function asProblem(error: unknown): unknown {
  if (!(error instanceof FeedError)) return error;
  if (error.code === 'cursor-expired') {
    const toDo = `take a new cursor from ${UPDATES_PATH} without ?after=, then read the orders that you show`;
    return new HttpProblem(410, {
      detail: `events after this cursor are no longer kept: ${toDo}`,
      headers: { 'Cache-Control': 'no-store' }, // a cache may keep a 410 otherwise [RFC 9110 §15.5.11]
      cause: error,
    });
  }
  if (error.code === 'unavailable') {
    return new HttpProblem(503, { detail: 'the feed cannot be read', headers: { 'Retry-After': '2' }, cause: error });
  }
  return error;
}
