/** Tokens for the benchmarks of tokens: what the issuer of stateless-auth signs, with keys of every kind. */
import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { ACCESS_TOKEN_TYPE, AUDIENCE, SCOPES } from '@patterns/stateless-auth/protocol';
import { SignJWT } from 'jose';
import jwt from 'jsonwebtoken';

export const ISSUER = 'http://127.0.0.1:1';
export const KEY_ID = 'bench';

export type Algorithm = 'ES256' | 'RS256' | 'EdDSA' | 'HS256';

export interface Keys {
  readonly signing: KeyObject;
  readonly verifying: KeyObject;
}

/** ECDSA on P-256, RSA of 2,048 bits, Ed25519, HMAC of 256 bits. */
export function makeKeys(algorithm: Algorithm): Keys {
  if (algorithm === 'HS256') {
    const secret = createSecretKey(randomBytes(32));
    return { signing: secret, verifying: secret };
  }
  const { privateKey: signing, publicKey: verifying } = makePair(algorithm);
  return { signing, verifying };
}

function makePair(algorithm: Exclude<Algorithm, 'HS256'>) {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2_048 });
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** Some 450 characters. Good for an hour: longer than a benchmark. */
export function signToken(algorithm: Exclude<Algorithm, 'EdDSA'>, key: KeyObject): string {
  return jwt.sign(claims(), key, { algorithm, keyid: KEY_ID, header: { alg: algorithm, typ: ACCESS_TOKEN_TYPE } });
}

/** The same with jose, which also knows EdDSA. */
export async function signWithJose(algorithm: Algorithm, key: KeyObject): Promise<string> {
  return await new SignJWT(claims())
    .setProtectedHeader({ alg: algorithm, typ: ACCESS_TOKEN_TYPE, kid: KEY_ID })
    .sign(key);
}

function claims() {
  const now = Math.floor(Date.now() / 1_000);
  return {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: '8f14e45f-ceea-467f-a9f3-1c2b0a3d4e5f',
    jti: randomUUID(),
    iat: now,
    exp: now + 3_600,
    scope: SCOPES.join(' '),
  };
}
