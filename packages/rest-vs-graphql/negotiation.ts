/**
 * What a request must be before a handler looks at it: each refusal says what would have been right.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { RequestHandler } from 'express';

/** 406 for who does not take JSON [RFC 9110 §15.5.7]. Who does not say takes anything [§12.5.1]. */
export const answersJson: RequestHandler = (request, _response, next) => {
  if (request.headers.accept !== undefined && !request.accepts('application/json'))
    throw new HttpProblem(406, { detail: 'application/json is what there is' });
  next();
};

/**
 * 415 for a body of another type [RFC 9110 §15.5.16]. A form, for one, is what any web page may send across origins.
 * @param hint the field of the answer that says what a request should have been: `Accept`, or `Accept-Patch` [RFC 5789 §2.2].
 */
export function takes(type: string, hint: string): RequestHandler {
  return (request, _response, next) => {
    if (!request.is(type)) throw new HttpProblem(415, { detail: `send ${type}`, headers: { [hint]: type } });
    next();
  };
}
