/**
 * What a request must be before a handler looks at it: each refusal says what would have been right.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { RequestHandler } from 'express';

/**
 * 400 for two Host fields [RFC 9112 §3.2]. Node takes the first in silence, and a proxy that takes the last has then checked
 * another host than we serve. (Content-Length beside Transfer-Encoding [§6.1] and a missing Host are refused by Node itself.)
 */
export const oneHost: RequestHandler = ({ rawHeaders }, _response, next) => {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  if (hosts > 1) throw new HttpProblem(400, { detail: 'more than one Host' });
  next();
};

/** 406 for who does not take JSON [RFC 9110 §15.5.7]. Who does not say takes anything [§12.5.1]. */
export const answersJson: RequestHandler = (request, _response, next) => {
  if (request.headers.accept !== undefined && !request.accepts('application/json'))
    throw new HttpProblem(406, { detail: 'application/json is what there is' });
  next();
};

/** 415 for a body that is not JSON [RFC 9110 §15.5.16]. A form, for one, is what any web page may send across origins. */
export const takesJson: RequestHandler = (request, _response, next) => {
  if (!request.is('application/json')) {
    const headers = { Accept: 'application/json' }; // in an answer it says what a request should have been [§12.5.1]
    throw new HttpProblem(415, { detail: 'an order is application/json', headers });
  }
  next();
};
