/**
 * What crosses the wire. Two services answer, and they share nothing but the public keys that one of them publishes.
 *
 *     the issuer            POST /login                    { name, password, scope? } -> tokens
 *                           POST /signup                   { name, password } -> 201, where it is open to all (sign-up.ts)
 *                           POST /token                    grant_type=refresh_token&refresh_token=... -> tokens [RFC 6749 §6]
 *                           POST /revoke                   token=... -> 200, whatever the token was [RFC 7009]
 *                           GET  /.well-known/jwks.json    the public keys [RFC 7517]
 *                           GET  /revoked                  ids of access tokens that are revoked and not yet expired
 *     a resource server     GET  /profile                  needs the scope profile:read
 *                           PUT  /preferences              needs the scope profile:write
 *
 * An access token is a signed JWT that any server can check by itself [RFC 9068]. A refresh token is a random string, and only
 * the issuer knows what it stands for. What comes from the other side is `unknown` until a function below has read it.
 */

export const LOGIN_PATH = '/login';
export const SIGNUP_PATH = '/signup';
export const TOKEN_PATH = '/token';
export const REVOKE_PATH = '/revoke';
export const JWKS_PATH = '/.well-known/jwks.json';
export const REVOKED_PATH = '/revoked';
export const PROFILE_PATH = '/profile';
export const PREFERENCES_PATH = '/preferences';

/** Whom the tokens are for. A service that finds another name in a token refuses it: it was meant for somebody else. */
export const AUDIENCE = 'https://profiles.example';

export const SCOPES = ['profile:read', 'profile:write'] as const;

/** "I am an access token": an ID token of the same issuer, signed with the same key, is none [RFC 9068 §2.1]. */
export const ACCESS_TOKEN_TYPE = 'at+jwt';

/** The one algorithm. Nothing that a token says changes it [RFC 8725 §3.1]. */
export const ALGORITHM = 'ES256';

/** What an access token says. Anybody who holds it can read it: nothing personal is in it. */
export interface Claims {
  readonly iss: string;
  /** The user's id: says nothing to whoever does not have the table of users. */
  readonly sub: string;
  readonly aud: string | readonly string[];
  /** Seconds since 1970, as all times in a JWT. */
  readonly iat: number;
  readonly exp: number;
  /** The token's own id: what a deny-list lists. */
  readonly jti: string;
  readonly client_id?: string;
  /** Names with a space between them. */
  readonly scope: string;
}

/** What /login and /token answer [RFC 6749 §5.1]. */
export interface Tokens {
  readonly access_token: string;
  readonly token_type: 'Bearer';
  /** Seconds that the access token lives. */
  readonly expires_in: number;
  readonly refresh_token: string;
  readonly scope: string;
}

/** How the issuer refuses [RFC 6749 §5.2]. `invalid_grant`: wrong name or password, or a refresh token that is worth nothing. */
export interface OAuthError {
  readonly error: 'invalid_request' | 'invalid_grant' | 'invalid_scope' | 'unsupported_grant_type';
  readonly error_description?: string;
}

/** What /revoked answers. */
export interface RevokedList {
  readonly revoked: readonly string[];
}

/** What /profile answers. */
export interface Profile {
  readonly id: string;
  readonly scope: string;
  readonly preferences: readonly string[];
}

export type AuthErrorCode =
  // The token is not one that we take. The caller is told none of these, only `invalid_token`.
  | 'malformed'
  | 'header'
  | 'unknown-key'
  | 'signature'
  | 'issuer'
  | 'audience'
  | 'expired'
  | 'not-yet-valid'
  | 'claims'
  | 'revoked'
  // It cannot be said whether it is: no keys, or no deny-list. On the side of the client: no issuer.
  | 'unavailable'
  // The client's side.
  | 'refused'
  | 'signed-out';

/** What goes wrong with tokens, on any side. */
export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly code: AuthErrorCode;

  constructor(code: AuthErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** @throws {TypeError} when it is not what /login and /token answer. */
export function readTokens(body: unknown): Tokens {
  const { access_token, token_type, expires_in, refresh_token, scope } = isRecord(body) ? body : {};
  if (
    !isText(access_token) ||
    !isText(refresh_token) ||
    !isText(scope) ||
    typeof token_type !== 'string' ||
    token_type.toLowerCase() !== 'bearer' || // [RFC 6749 §5.1]
    typeof expires_in !== 'number'
  ) {
    throw new TypeError('not tokens');
  }
  return { access_token, token_type: 'Bearer', expires_in, refresh_token, scope };
}

/** @throws {TypeError} when it is not what /revoked answers. */
export function readRevoked(body: unknown): readonly string[] {
  const { revoked } = isRecord(body) ? body : {};
  if (!Array.isArray(revoked) || !revoked.every(isText)) throw new TypeError('not a list of revoked tokens');
  return revoked;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
