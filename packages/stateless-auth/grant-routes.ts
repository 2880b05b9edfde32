/**
 * The issuer's three doors: in (/login), on (/token) and out (/revoke).
 *
 * What they refuse they refuse as OAuth does: 400 with an `error` [RFC 6749 §5.2]. A wrong password is one of its
 * `invalid_grant`s, and not a 401, which would have to name a way of authentication that a client should use instead.
 */
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import express, { type Response, Router } from 'express';
import { rateLimit } from 'express-rate-limit';
import type { Pool } from 'pg';
import { revokeAccessToken } from './access-tokens.ts';
import type { createIssuerMetrics } from './metrics.ts';
import * as protocol from './protocol.ts';
import type { Grant, RefreshTokens } from './refresh-tokens.ts';
import { signUpRoute } from './sign-up.ts';
import { userForLog } from './token-log.ts';
import type { Users } from './users.ts';
import type { Verifier } from './verifier.ts';

export interface GrantRouteOptions {
  pool: Pool;
  users: Users;
  refreshTokens: RefreshTokens;
  verifier: Verifier;
  metrics: ReturnType<typeof createIssuerMetrics>;
  log: Log;
  /** What a token may be good for. A login that does not say gets all. */
  scopes?: readonly string[];
  /** Whether anybody may become a user (sign-up.ts). */
  signUp?: boolean;
  /** Wrong passwords from one address in 5 minutes; beyond, 429. */
  maxFailedLogins?: number;
  /** Makes the answer of a grant. */
  tokens: (grant: Grant) => protocol.Tokens;
}

const FAILED_LOGIN_WINDOW_MS = 5 * 60_000;

export function grantRoutes(options: GrantRouteOptions): Router {
  const { pool, users, refreshTokens, verifier, metrics, log, tokens } = options;
  const { scopes = protocol.SCOPES, signUp = false, maxFailedLogins = 20 } = options;
  const routes = Router();
  // Counted in this process: several issuers would share a store. By address, since a limit by name would let anybody lock
  // anybody out.
  const limitFailures = rateLimit({
    windowMs: FAILED_LOGIN_WINDOW_MS,
    limit: maxFailedLogins,
    skipSuccessfulRequests: true,
    requestWasSuccessful: (_request, { statusCode }) => ![400, 409].includes(statusCode), // what we could not answer is not their fault
    validate: { xForwardedForHeader: false }, // anybody can write it: it is looked at only behind a `door`
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    handler: (_request, _response, next) => next(new HttpProblem(429, { detail: 'too many wrong passwords' })),
  });

  if (signUp) routes.use(signUpRoute(users, limitFailures));

  // #region login
  routes.post(protocol.LOGIN_PATH, limitFailures, express.json({ limit: '4kb' }), async (request, response) => {
    const login = readLogin(request.body, scopes);
    if (typeof login === 'string') return refuse(response, login);
    const userId = await users.check(login.name, login.password);
    metrics.logins.inc({ outcome: userId ? 'granted' : 'refused' });
    if (!userId) return refuse(response, 'invalid_grant', 'wrong name or password');
    send(response, tokens(await refreshTokens.begin(userId, login.scope)));
  });
  // #endregion

  const form = express.urlencoded({ extended: false, limit: '8kb' });
  // #region token
  routes.post(protocol.TOKEN_PATH, form, async (request, response) => {
    const { grant_type: grantType, refresh_token: token } = readForm(request.body);
    if (typeof grantType !== 'string') return refuse(response, 'invalid_request', 'grant_type is missing');
    if (grantType !== 'refresh_token') return refuse(response, 'unsupported_grant_type');
    if (typeof token !== 'string') return refuse(response, 'invalid_request', 'refresh_token is missing');
    const exchange = await refreshTokens.exchange(token);
    metrics.exchanges.inc({ outcome: exchange.outcome });
    if ('grant' in exchange) return send(response, tokens(exchange.grant));
    const user = exchange.userId && userForLog(exchange.userId);
    log.warn('refresh token refused', { reason: exchange.outcome, user });
    refuse(response, 'invalid_grant', 'log in again');
  });
  // #endregion

  routes.post(protocol.REVOKE_PATH, form, async (request, response) => {
    const { token } = readForm(request.body);
    if (typeof token !== 'string') return refuse(response, 'invalid_request', 'token is missing');
    await refreshTokens.revoke(token);
    // Only what we have signed: else anybody could have anything put on the deny-list.
    const { jti } = await verifier.verify(token).catch(() => ({ jti: undefined }));
    if (jti) await revokeAccessToken(pool, jti);
    metrics.revocations.inc();
    response.status(200).end(); // also for a token that is nothing: it is not valid now, which was the wish [RFC 7009 §2.2]
  });
  return routes;
}

/** The body of a login, or what is wrong with it. Without a scope: all that there are. */
function readLogin(
  body: unknown,
  scopes: readonly string[],
): { name: string; password: string; scope: string } | protocol.OAuthError['error'] {
  const { name, password, scope = scopes.join(' ') } = protocol.isRecord(body) ? body : {};
  const isText = (value: unknown, most: number) => typeof value === 'string' && value !== '' && value.length <= most;
  if (!isText(name, 100) || !isText(password, 200) || typeof scope !== 'string') return 'invalid_request';
  if (!scope.split(' ').every((each) => scopes.includes(each))) return 'invalid_scope';
  return { name: name as string, password: password as string, scope };
}

/** Each field at most once: of two, the parser makes an array, and an array is no text [RFC 6749 §3.2]. */
const readForm = (body: unknown) => (protocol.isRecord(body) ? body : {});

/** No cache may keep it [RFC 6749 §5.1]. */
function send(response: Response, body: protocol.Tokens): void {
  response.set('Cache-Control', 'no-store').json(body);
}

function refuse(response: Response, error: protocol.OAuthError['error'], description?: string): void {
  const body: protocol.OAuthError = { error, ...(description ? { error_description: description } : {}) };
  response.status(400).set('Cache-Control', 'no-store').json(body);
}
