/**
 * Who calls whom. A service says so with a token that it signs itself, for one callee and a minute; nobody is trusted because of
 * the network that the call comes from.
 *
 * Each service has a key pair. Its private key never leaves it, and every callee is told the public keys of those who may call it,
 * and of nobody else. In production a mesh does the same with certificates (mTLS, SPIFFE).
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { HttpProblem } from '@patterns/kit/problem';
import type { RequestHandler } from 'express';
import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';

/** A minute: a token that is stolen from a log is worthless before anybody has read it. */
const TOKEN_SECONDS = 60;
/** What two clocks may differ by. */
const CLOCK_TOLERANCE_SECONDS = 5;

export interface Identity {
  readonly service: string;
  /** A token for `audience`. `subject`: on whose behalf, a customer's id. */
  tokenFor(audience: string, subject?: string): string;
}

export interface Caller {
  readonly service: string;
  /** On whose behalf; undefined: on its own. */
  readonly subject?: string;
}

// #region identity
/** @param privateKey PEM, P-256 */
export function openIdentity({ service, privateKey }: { service: string; privateKey: string }): Identity {
  const key = createPrivateKey(privateKey);
  // Signing takes 0.1 ms, and one customer asks more than once: a token is used for half its life.
  const tokens = new LRUCache<string, string>({ max: 1_000, ttl: (TOKEN_SECONDS / 2) * 1_000 });
  return {
    service,
    tokenFor(audience, subject = service) {
      const name = JSON.stringify([audience, subject]);
      let token = tokens.get(name);
      if (!token) {
        const claims = { issuer: service, audience, subject, expiresIn: TOKEN_SECONDS };
        token = jwt.sign({}, key, { algorithm: 'ES256', ...claims });
        tokens.set(name, token);
      }
      return token;
    },
  };
}

/**
 * Lets in the services that are named, and nobody else: 401. Then `callerOf(response)` says who it is.
 * @param callers their public keys (PEM), by name
 */
export function requireService({
  audience,
  callers,
}: {
  audience: string;
  callers: Readonly<Record<string, string>>;
}): RequestHandler {
  const keys = new Map(Object.entries(callers).map(([name, pem]) => [name, createPublicKey(pem)]));
  return (request, response, next) => {
    const token = /^Bearer +([\w.~+/=-]+)$/i.exec(request.get('Authorization') ?? '')?.[1];
    const caller = token === undefined ? undefined : verify(token, audience, keys);
    if (!caller) {
      const challenge = `Bearer realm="${audience}"${token === undefined ? '' : ', error="invalid_token"'}`;
      throw new HttpProblem(401, { detail: 'this is for other services', headers: { 'WWW-Authenticate': challenge } });
    }
    response.locals.caller = caller;
    next();
  };
}

function verify(token: string, audience: string, keys: ReadonlyMap<string, KeyObject>): Caller | undefined {
  try {
    // Not believed yet: it only says with whose key to check. Whose key it is, is who it was.
    const { iss = '' } = jwt.decode(token, { json: true }) ?? {};
    const key = keys.get(iss);
    if (!key) return undefined;
    const expected = { algorithms: ['ES256' as const], audience, clockTolerance: CLOCK_TOLERANCE_SECONDS };
    const { sub, exp } = jwt.verify(token, key, expected) as jwt.JwtPayload;
    if (sub === undefined || exp === undefined) return undefined;
    return sub === iss ? { service: iss } : { service: iss, subject: sub };
  } catch {
    return undefined; // why is nobody's business who has no valid one
  }
}
// #endregion

/** Who asks: behind `requireService` only. */
export function callerOf(response: { locals: Record<string, unknown> }): Caller {
  return response.locals.caller as Caller;
}
