/**
 * Cross-site request forgery: a page of another site makes a browser ask us, with whatever the browser adds by itself.
 *
 * What a browser sends for any page without asking us first is a "simple" request [Fetch §2.2.2]: a GET, or a POST of a form or
 * plain text. A POST of `application/json` is not one, and no other type is understood here (graphql-http answers 415): the
 * browser asks by a preflight, which nobody answers with a yes. What is left is GET. It changes nothing, and its answer cannot
 * be read by that page; but how long it takes can be, and a query is theirs to choose. So a GET that a browser sends for
 * another site must carry a header of its own, which a browser also asks for first. Not so a trusted document: what it costs
 * and asks is ours to choose, and a header would keep it out of caches.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { RequestHandler } from 'express';
import { PREFLIGHT_HEADER } from './protocol.ts';

/** Express: refuses with 403 what a browser would send for another site without asking. */
export const refuseCrossSite: RequestHandler = (request, _response, next) => {
  // Only browsers say it, and a page cannot change it [Fetch Metadata §2.3]. `none`: somebody has typed the address.
  const site = request.get('Sec-Fetch-Site') ?? 'none';
  const isForeign = site !== 'none' && site !== 'same-origin';
  const isSimple = request.method !== 'POST' && request.query.documentId === undefined;
  if (isForeign && isSimple && request.get(PREFLIGHT_HEADER) === undefined) {
    throw new HttpProblem(403, { detail: `a query by GET from another site needs the header ${PREFLIGHT_HEADER}` });
  }
  next();
};
