/**
 * What a refresh token is made of, and what is kept of it.
 *
 *     <family>.<secret>          128 and 256 random bits, base64url
 *
 * The database has the SHA-256 digest of the secret. Whoever reads it, has no token. A successor is an HMAC of a random salt, with
 * the old secret as its key: with the salt in the database it can be told again to whoever shows the old token, and to nobody
 * who has only one of the two.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export interface RefreshToken {
  readonly id: Buffer;
  readonly secret: Buffer;
}

/** Undefined when it is not even one by its looks. */
export function parseToken(token: string): RefreshToken | undefined {
  const [, id, secret] = /^([\w-]{22})\.([\w-]{43})$/.exec(token) ?? [];
  return id && secret ? { id: Buffer.from(id, 'base64url'), secret: Buffer.from(secret, 'base64url') } : undefined;
}

export function formatToken(id: Buffer, secret: Buffer): string {
  return `${id.toString('base64url')}.${secret.toString('base64url')}`;
}

/** No slow hash, as for passwords: nobody guesses 256 random bits. */
export function digest(secret: Buffer): Buffer {
  return createHash('sha256').update(secret).digest();
}

export function isDigestOf(secret: Buffer, hash: Buffer | null): boolean {
  return hash !== null && timingSafeEqual(digest(secret), hash);
}

/** The secret that follows. The same salt makes the same one. */
export function successor(secret: Buffer, salt: Buffer): Buffer {
  return createHmac('sha256', secret).update(salt).digest();
}
