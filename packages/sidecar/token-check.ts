/**
 * Who asks. The app trusts whoever reaches it; the sidecar lets through only who has a token, and tells the app the subject.
 * The algorithm is pinned by the configuration: a token that chooses its own is a token that everybody can sign.
 */
import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { ConfigError } from '@patterns/kit/env';
import { HttpProblem } from '@patterns/kit/problem';
import jwt from 'jsonwebtoken';
import { exchangeOf, type Power } from './exchange.ts';
import type { Metrics } from './metrics.ts';

export interface TokenCheck {
  /** One algorithm for one key: HMAC with a public key as its secret is the classic confusion. */
  algorithm: 'ES256' | 'HS256';
  key: KeyObject;
  issuer: string;
  audience: string;
  /** Open to everybody: compared as they are, so that `/menu/../orders` and `/menu%2f` are not among them. */
  publicPaths?: readonly string[];
  /** What a request needs in the token's `scope`, by method and path: `{ 'POST /orders': 'orders:write' }`. */
  scopes?: Readonly<Record<string, string>>;
}

/** Makes the key of a token check. @param text PEM of a public key (ES256), or a secret of 32 bytes or more (HS256) */
export function tokenKey(algorithm: TokenCheck['algorithm'], text: string): KeyObject {
  if (algorithm === 'ES256') return createPublicKey(text);
  if (Buffer.byteLength(text) < 32) throw new ConfigError('the secret of HS256 has less than 32 bytes'); // [RFC 7518 §3.2]
  return createSecretKey(Buffer.from(text));
}

// #region check
/** 401 without a valid token, 403 without the scope that the request needs [RFC 6750 §3.1]. */
export function checkTokens(
  { algorithm, key, issuer, audience, publicPaths = [], scopes = {} }: TokenCheck,
  metrics: Metrics,
): Power {
  const open = new Set(publicPaths);
  const refuse = (status: number, detail: string, challenge: string) => {
    metrics.refusedTokens.inc();
    return new HttpProblem(status, { detail, headers: { 'WWW-Authenticate': `Bearer realm="sidecar"${challenge}` } });
  };
  return (request, response, next) => {
    const exchange = exchangeOf(response);
    const path = exchange.path.split('?', 1)[0]!;
    if (open.has(path)) return next();
    const token = /^Bearer +([\w.~+/=-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) throw refuse(401, 'a bearer token is needed', '');
    const claims = verify(token);
    if (typeof claims?.sub !== 'string') throw refuse(401, 'the token is not valid here', ', error="invalid_token"');
    const needed = scopes[`${request.method} ${path}`];
    if (
      needed &&
      !String(claims.scope ?? '')
        .split(' ')
        .includes(needed)
    )
      throw refuse(403, 'the token does not allow this', `, error="insufficient_scope", scope="${needed}"`);
    exchange.subject = claims.sub;
    next();
  };

  function verify(token: string): jwt.JwtPayload | undefined {
    try {
      const claims = jwt.verify(token, key, { algorithms: [algorithm], issuer, audience });
      return typeof claims === 'object' && claims.exp !== undefined ? claims : undefined;
    } catch {
      return undefined; // why is nobody's business who has no valid one
    }
  }
}
// #endregion
