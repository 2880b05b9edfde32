/**
 * The door of a route: who comes with a good token that has the scope goes on, and the handler finds the claims in
 * `response.locals.claims`.
 */
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { traceOf } from '@patterns/kit/trace';
import type { RequestHandler } from 'express';
import type { Counter } from 'prom-client';
import { insufficientScope, invalidToken, noToken, readBearer } from './bearer.ts';
import { AuthError } from './protocol.ts';
import { tokenForLog } from './token-log.ts';
import type { Verifier } from './verifier.ts';

// #region door
/** Answers 401 without a good token, 403 without the scope, and 503 when it cannot be said whether a token is good. */
export function requireScope(
  verifier: Verifier,
  scope: string,
  { log, checks, realm }: { log: Log; checks?: Counter<'outcome'>; realm?: string },
): RequestHandler {
  return async (request, response, next) => {
    const token = readBearer(request, realm);
    if (token === undefined) throw noToken(scope, realm);
    const claims = await verifier.verify(token).catch((error: unknown) => {
      if (!(error instanceof AuthError)) throw error;
      checks?.inc({ outcome: error.code });
      log.warn('token refused', { reason: error.code, ...tokenForLog(token), traceId: traceOf(response).traceId });
      // Not the token's fault: a client that was told so would throw away a good one.
      if (error.code === 'unavailable')
        throw new HttpProblem(503, {
          detail: 'tokens cannot be checked now',
          headers: { 'Retry-After': '5' },
          cause: error,
        });
      throw invalidToken(error, realm);
    });
    checks?.inc({ outcome: 'accepted' });
    if (!claims.scope.split(' ').includes(scope)) throw insufficientScope(scope, realm);
    response.locals.claims = claims;
    next();
  };
}
// #endregion
