/**
 * What crosses the wire. A cookie holds nothing but a random id; what the server remembers is kept under it, on the server.
 *
 *     POST /login             {"name":"John","password":"…"}, or the same as a form     200 (a form: 303), Set-Cookie: the id
 *     GET /profile            Cookie: the id                                             200 {"id":123,"name":"John",…}
 *     PUT /preferences/:one   and DELETE                                                 204
 *     GET /sessions           where am I logged in?                                      200
 *     GET /events             text/event-stream; ends when the session does              200
 *     POST /logout            this session                                               204
 *     POST /logout-everywhere all sessions of the user                                   200 {"ended":2}
 *
 * Without a session these answer 401, while the sessions cannot be read 503. `GET /menu` needs no session.
 */
import { type FieldError, HttpProblem } from '@patterns/kit/problem';
import type { CookieOptions } from 'express';

export const PATHS = {
  login: '/login',
  profile: '/profile',
  preference: '/preferences/:preference',
  sessions: '/sessions',
  events: '/events',
  logout: '/logout',
  logoutEverywhere: '/logout-everywhere',
  menu: '/menu',
} as const;

export const LIMITS = { bodyBytes: 4_096, nameLength: 64, passwordLength: 256, preferenceLength: 64 };

/** Made when the server starts, so that there is somebody to log in. */
export const DEMO_USER: Credentials = { name: 'John', password: 'tomato soup for table 7' };

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

export interface Profile {
  readonly id: number;
  readonly name: string;
  readonly preferences: readonly string[];
}

// #region cookie
export interface SessionCookie {
  readonly name: string;
  /** The same for setting and for clearing: a browser takes another path or domain for another cookie. */
  readonly attributes: CookieOptions;
}

/** The cookie over TLS, and the one for development over plain HTTP, where a browser would not take the first. */
export function sessionCookie({ secure }: { secure: boolean }): SessionCookie {
  return {
    // A browser takes `__Host-` only with Secure, Path=/ and no Domain: no neighbouring subdomain and nobody on a plain-HTTP line
    // can plant it [RFC 6265bis §4.1.3.2].
    name: secure ? '__Host-sid' : 'sid',
    attributes: {
      path: '/',
      secure,
      httpOnly: true, // no script reads it
      sameSite: 'lax', // not sent with a POST from another site; with a link from there it is
    },
  };
}
// #endregion

/** A 401 must name a scheme [RFC 9110 §15.5.2]. None is registered for cookies; browsers pass over one they do not know. */
export const CHALLENGE = { 'WWW-Authenticate': 'Cookie form-action="/login"' };

/**
 * Reads the body of a login.
 * @throws {HttpProblem} 400, field by field.
 */
export function parseCredentials(body: unknown): Credentials {
  const { name, password } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const errors: FieldError[] = [];
  const isText = (value: unknown, most: number): value is string =>
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= most &&
    value.isWellFormed() &&
    !value.includes('\0');
  if (!isText(name, LIMITS.nameLength)) {
    errors.push({ field: '/name', expected: `a text of 1 to ${LIMITS.nameLength} characters` });
  }
  if (!isText(password, LIMITS.passwordLength)) {
    errors.push({ field: '/password', expected: `a text of 1 to ${LIMITS.passwordLength} characters` });
  }
  if (errors.length > 0) throw new HttpProblem(400, { detail: 'not a login', errors });
  return { name: name as string, password: password as string };
}

/** Reads a preference out of the path. @throws {HttpProblem} 400 */
export function parsePreference(text: unknown): string {
  const { preferenceLength } = LIMITS;
  if (typeof text === 'string' && text.length <= preferenceLength && /^[\p{L}\p{N}][\p{L}\p{N} -]*$/u.test(text)) {
    return text;
  }
  const expected = `letters, digits, spaces and dashes, ${preferenceLength} at most`;
  throw new HttpProblem(400, { detail: 'not a preference', errors: [{ field: 'preference', expected }] });
}
