/**
 * Says whether an access token is one of ours, with nothing but the issuer's public keys: no request, no database, no session.
 *
 * What is right is decided here, and not by the token: one algorithm, one type, one issuer, one audience. The token's header is
 * read for a single purpose, to find which of the issuer's keys it names, and may say nothing that we do not expect.
 */
import type { KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { ACCESS_TOKEN_TYPE, ALGORITHM, AuthError, type AuthErrorCode, type Claims, isRecord } from './protocol.ts';
import { createVerifiedCache, type VerifiedCache } from './verified-cache.ts';

/** Public keys by name, of the one type that goes with the one algorithm (jwks.ts). */
export interface KeySource {
  /** What is known now. */
  readonly peek: (kid: string) => KeyObject | undefined;
  /** May ask the issuer first. @throws {AuthError} `unavailable` when that is not possible. */
  readonly find: (kid: string) => Promise<KeyObject | undefined>;
}

export interface VerifierOptions {
  /** Who must have made the token, exactly as it stands in it. */
  issuer: string;
  /** For whom it must have been made. */
  audience: string;
  keys: KeySource;
  /** By how much clocks may differ. 5 s: those that are set by NTP differ by less than one. At most 60 [RFC 7519 §4.1.4]. */
  leewaySeconds?: number;
  /** Tokens that need no second look at their signature (verified-cache.ts); 0: each is verified each time. */
  cacheEntries?: number;
  /** Asked each time, for cached tokens too (revocation.ts). Without it, a token lives until it expires. */
  isRevoked?: ((jti: string) => boolean) | undefined;
}

export interface Verifier {
  /** @throws {AuthError} with the reason, which is for the log and not for the caller. */
  verify(token: string): Promise<Claims>;
  readonly cache: VerifiedCache | undefined;
}

/** Ours have some 500 characters. What is much longer is not read at all. */
const MAX_LENGTH = 4_096;
/** Longer than any leeway here: how long past its expiry a token may still be taken somewhere. */
export const MAX_LEEWAY_SECONDS = 60;

/** Three parts, the last as long as an ES256 signature is: 64 bytes [RFC 7518 §3.4]. An unsigned token ends at the second dot. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]{86}$/;
/** Neither where to fetch a key (`jku`, `x5u`), nor a key (`jwk`, `x5c`), nor what we would have to understand (`crit`). */
const HEADER_MEMBERS: readonly string[] = ['alg', 'typ', 'kid'];

export function createVerifier({
  issuer,
  audience,
  keys,
  leewaySeconds = 5,
  cacheEntries = 10_000,
  isRevoked,
}: VerifierOptions): Verifier {
  if (!(leewaySeconds >= 0 && leewaySeconds <= MAX_LEEWAY_SECONDS))
    throw new RangeError(`leewaySeconds is from 0 to ${MAX_LEEWAY_SECONDS}`);
  const cache = cacheEntries > 0 ? createVerifiedCache({ maxEntries: cacheEntries, keys, leewaySeconds }) : undefined;
  const demands = {
    algorithms: [ALGORITHM],
    issuer,
    audience,
    clockTolerance: leewaySeconds,
  } satisfies jwt.VerifyOptions;

  // #region verify
  async function verifyAnew(token: string): Promise<Claims> {
    const { kid } = readHeader(token);
    const key = await keys.find(kid);
    if (!key) throw new AuthError('unknown-key', 'the issuer has no such key');
    let payload: unknown;
    try {
      payload = jwt.verify(token, key, demands); // signature, iss, aud; exp and nbf if they are there
    } catch (cause) {
      throw new AuthError(reasonOf(cause as Error), (cause as Error).message, { cause });
    }
    const claims = readClaims(payload, leewaySeconds);
    cache?.put(token, { claims, kid, key });
    return claims;
  }
  // #endregion

  return {
    cache,
    async verify(token) {
      const claims = cache?.get(token) ?? (await verifyAnew(token));
      if (isRevoked?.(claims.jti)) throw new AuthError('revoked', 'the token has been revoked');
      return claims;
    },
  };
}

/** Nothing in it is proven yet. */
function readHeader(token: string): { kid: string } {
  if (token.length > MAX_LENGTH || !COMPACT.test(token)) throw new AuthError('malformed', 'not a token of ours');
  let header: unknown;
  try {
    header = jwt.decode(token, { complete: true })?.header;
  } catch {
    // not JSON
  }
  if (!isRecord(header)) throw new AuthError('malformed', 'its header is not an object');
  const stranger = Object.keys(header).find((name) => !HEADER_MEMBERS.includes(name));
  if (stranger !== undefined) throw new AuthError('header', 'its header says more than ours do');
  const { alg, typ, kid } = header;
  if (alg !== ALGORITHM) throw new AuthError('header', 'its algorithm is another one');
  if (!isAccessTokenType(typ)) throw new AuthError('header', 'it is not an access token');
  if (typeof kid !== 'string') throw new AuthError('header', 'it does not name its key');
  return { kid };
}

/** A media type whose `application/` may be left out, and whose case does not matter [RFC 7515 §4.1.9]. */
function isAccessTokenType(typ: unknown): boolean {
  return typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === ACCESS_TOKEN_TYPE;
}

/** The library checks the times that are there. It does not mind those that are missing: a token without `exp` would live for ever. */
function readClaims(payload: unknown, leewaySeconds: number): Claims {
  const { exp, iat, sub, jti, scope } = isRecord(payload) ? payload : {};
  const isComplete = isTime(exp) && isTime(iat) && isName(sub) && isName(jti) && typeof scope === 'string';
  if (!isComplete) throw new AuthError('claims', 'exp, iat, sub, jti or scope is missing');
  if (iat > Date.now() / 1_000 + leewaySeconds) throw new AuthError('not-yet-valid', 'it was made in the future');
  return Object.freeze(payload as unknown as Claims);
}

const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isName = (value: unknown) => typeof value === 'string' && value !== '';

/** The library has a message for each reason, and a class for only two. */
function reasonOf(error: Error): AuthErrorCode {
  if (error instanceof jwt.TokenExpiredError) return 'expired';
  if (error instanceof jwt.NotBeforeError) return 'not-yet-valid';
  if (error.message.startsWith('jwt issuer')) return 'issuer';
  if (error.message.startsWith('jwt audience')) return 'audience';
  if (/^invalid (?:exp|nbf) value/.test(error.message)) return 'claims';
  return 'signature';
}
