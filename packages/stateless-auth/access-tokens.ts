/**
 * Access tokens: signed for whoever verifies them, and noted down for the one case in which a signature is not enough, revocation.
 */
import { randomUUID } from 'node:crypto';
import jwt from 'jsonwebtoken';
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './database.ts';
import type { KeyRing } from './keys.ts';
import { ACCESS_TOKEN_TYPE, ALGORITHM } from './protocol.ts';
import { MAX_LEEWAY_SECONDS } from './verifier.ts';

export interface AccessTokenOptions {
  keys: KeyRing;
  issuer: string;
  audience: string;
  lifeSeconds: number;
}

/** Which client the tokens are made for [RFC 9068 §2.2]. Here there is one, and it needs no registration. */
const CLIENT_ID = 'patterns-client';

// #region sign
/** Signs a token. What it says can be read by anybody who holds it: an id and rights, no name, nothing personal. */
export function signAccessToken(
  { keys, issuer, audience, lifeSeconds }: AccessTokenOptions,
  { jti, userId, scope }: { jti: string; userId: string; scope: string },
): string {
  const { kid, privateKey } = keys.signing;
  return jwt.sign({ scope, client_id: CLIENT_ID }, privateKey, {
    algorithm: ALGORITHM,
    header: { alg: ALGORITHM, typ: ACCESS_TOKEN_TYPE, kid },
    issuer,
    audience,
    subject: userId,
    jwtid: jti,
    expiresIn: lifeSeconds,
  });
}
// #endregion

/** Notes down that a token is about to be made, in the transaction in which its login or refresh token is. */
export async function noteAccessToken(client: PoolClient, family: string, lifeSeconds: number): Promise<string> {
  const jti = randomUUID();
  await client.query(
    `insert into issuer.access_tokens (jti, family, expires_at) values ($1, $2, now() + $3 * interval '1 second')`,
    [jti, family, lifeSeconds + MAX_LEEWAY_SECONDS], // somebody may take it for that much longer
  );
  return jti;
}

/** Revokes one. */
export async function revokeAccessToken(pool: Pool, jti: string): Promise<void> {
  await inTransaction(pool, (client) =>
    client.query('update issuer.access_tokens set is_revoked = true where jti = $1', [jti]),
  );
}

/** Revokes all of one login that are still good: who takes away the refresh token means those too [RFC 7009 §2.1]. */
export async function revokeAccessTokens(client: PoolClient, family: string): Promise<void> {
  await client.query('update issuer.access_tokens set is_revoked = true where family = $1 and expires_at > now()', [
    family,
  ]);
}

/** The deny-list. It is as long as what is revoked in the lifetime of a token. */
export async function listRevoked(pool: Pool): Promise<string[]> {
  const { rows } = await inTransaction(pool, (client) =>
    client.query<{ jti: string }>(
      'select jti from issuer.access_tokens where is_revoked and expires_at > now() order by jti',
    ),
  );
  return rows.map(({ jti }) => jti);
}
