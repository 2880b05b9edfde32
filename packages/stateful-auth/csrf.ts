/**
 * Refuses what another site makes a browser ask for in its user's name: the browser adds the cookie by itself.
 *
 * `SameSite=Lax` stops most of it, and not all: a neighbouring subdomain is the same *site*, and some browsers have let cookies
 * younger than two minutes through. So what changes something must come from our own *origin*, by what the browser itself says of
 * it. No tokens, nothing to store, and a plain form works.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { RequestHandler } from 'express';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

// #region csrf
/** Express: 403 for an unsafe method that a page of another origin has caused. */
export const refuseCrossSite: RequestHandler = (request, _response, next) => {
  if (SAFE.has(request.method) || isOfOurOrigin(request)) return next();
  throw new HttpProblem(403, { detail: 'a page of another origin asked for this' });
};

function isOfOurOrigin(request: Parameters<RequestHandler>[0]): boolean {
  // No script can set or remove it [Fetch Metadata §2]. `none`: the user, by typing or a bookmark, and no page at all.
  const site = request.get('Sec-Fetch-Site');
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  // Browsers from before 2023, and any on plain HTTP except to this machine. The port belongs to the origin, and so does the scheme:
  // a page that came over a line in the clear may be anybody's.
  const origin = request.get('Origin');
  if (origin !== undefined) return origin === `${request.protocol}://${request.host}`;
  // Neither of them: no browser that is still around sends a POST like that. It is a program, and a program sends only the
  // cookies that it was given: nobody can make it send them somewhere behind its back.
  return true;
}
// #endregion
