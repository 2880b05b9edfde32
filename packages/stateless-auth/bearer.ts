/**
 * The token in a request, and the refusals that belong to it [RFC 6750].
 *
 * Strict, since a proxy before us may have understood something else: one header, one scheme, one token. A token in the URL is
 * refused rather than ignored: it stands in logs and histories by now, and whoever sends it should learn that.
 */
import type { IncomingMessage } from 'node:http';
import { HttpProblem } from '@patterns/kit/problem';

const PROFILES = 'profiles';
const challenge = (realm: string, more: string) => ({ 'WWW-Authenticate': `Bearer realm="${realm}", ${more}` });

/** The scheme in any case, one space or more, and a token of the characters that a token may have [RFC 6750 §2.1, RFC 9110 §11.4]. */
const CREDENTIALS = /^Bearer +([\w.~+/-]+=*)$/i;

/**
 * The token of a request; undefined when there is none, or credentials of another scheme.
 * @throws {HttpProblem} 400 when it cannot be said which is meant.
 */
export function readBearer(
  { headersDistinct, url = '' }: Pick<IncomingMessage, 'headersDistinct' | 'url'>,
  realm = PROFILES,
): string | undefined {
  const malformed = (detail: string) =>
    new HttpProblem(400, { detail, headers: challenge(realm, 'error="invalid_request"') });
  if (/[?&]access_token=/i.test(url)) throw malformed('a token does not belong in a URL');
  // Not `headers`: of several, Node keeps the first there, and a proxy may have looked at the last.
  const [credentials, ...more] = headersDistinct.authorization ?? [];
  if (more.length > 0) throw malformed('more than one Authorization header');
  if (credentials === undefined || !/^Bearer\b/i.test(credentials)) return undefined;
  const [, token] = CREDENTIALS.exec(credentials) ?? [];
  if (token === undefined) throw malformed('the Authorization header is malformed');
  return token;
}

/** Nobody has tried: no error is told, only what is needed [§3.1]. */
export function noToken(scope: string, realm = PROFILES): HttpProblem {
  return new HttpProblem(401, { headers: challenge(realm, `scope="${scope}"`) });
}

/** Expired, forged, for somebody else: all the same to the caller, who can but get another one. */
export function invalidToken(cause: unknown, realm = PROFILES): HttpProblem {
  return new HttpProblem(401, { cause, headers: challenge(realm, 'error="invalid_token"') });
}

/** A good token, and not good for this. */
export function insufficientScope(scope: string, realm = PROFILES): HttpProblem {
  return new HttpProblem(403, {
    detail: `this needs the scope ${scope}`,
    headers: challenge(realm, `error="insufficient_scope", scope="${scope}"`),
  });
}
