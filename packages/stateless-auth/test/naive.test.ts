/** That the naive version falls as its head comment says, and no further: each test is one of its faults. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { beforeAll, describe, expect, test } from 'vitest';
import { forge, guessSecret, hmacWith, readParts, signedLike, unsigned } from '../demo-forgery.ts';
import { startNaive } from '../naive.ts';
import { verifyByHand } from '../naive-verifier.ts';

const admin = { userId: 1 };

test('the textbook: no expiry, personal data in the payload, and a secret that is found in a dictionary', async () => {
  await using server = await startNaive();
  const login = await fetch(`${server.url}/login`, { method: 'POST' });
  const { token } = (await login.json()) as { token: string };
  expect(readParts(token).payload).toEqual({
    userId: 123,
    name: 'John',
    preferences: ['dark mode', 'notifications on'],
    iat: expect.any(Number),
  });
  const { secret } = guessSecret(token);
  const ask = async (shown: string) => {
    const response = await fetch(`${server.url}/profile`, { headers: { Authorization: `Bearer ${shown}` } });
    return { status: response.status, body: await response.text() };
  };
  const signed = forge({ header: { alg: 'HS256' }, payload: admin }, hmacWith(secret!));
  expect(await ask(signed)).toEqual({ status: 200, body: JSON.stringify(admin) });

  // What the library of today refuses by itself, although no algorithms are listed.
  expect((await ask(forge({ header: { alg: 'none' }, payload: admin }, unsigned))).status).toBe(401);
  expect((await ask(forge({ ...readParts(token), payload: admin }, signedLike(token)))).status).toBe(401);
});

describe('a verifier written by hand', () => {
  let privateKey: KeyObject;
  let pem: string;
  beforeAll(() => {
    ({ privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 }));
    pem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string;
  });
  const sign = (payload: object, options: jwt.SignOptions = {}) =>
    jwt.sign(payload, privateKey, { algorithm: 'RS256', ...options });

  test('takes a token that says it need not be verified', () => {
    expect(verifyByHand(forge({ header: { alg: 'none' }, payload: admin }, unsigned), pem)).toEqual(admin);
  });

  test('takes the public key for a secret when the token says so', () => {
    expect(verifyByHand(forge({ header: { alg: 'HS256' }, payload: admin }, hmacWith(pem)), pem)).toEqual(admin);
    // The library of today does not, although it is not told which algorithms are right.
    expect(() => jwt.verify(forge({ header: { alg: 'HS256' }, payload: admin }, hmacWith(pem)), pem)).toThrow(
      /algorithm/,
    );
  });

  test('takes what has expired, and what is for somebody else', () => {
    expect(verifyByHand(sign({ userId: 123, exp: 1 }), pem)).toMatchObject({ exp: 1 });
    expect(verifyByHand(sign({ userId: 123 }, { audience: 'newsletter' }), pem)).toMatchObject({ aud: 'newsletter' });
  });

  test('refuses a payload that was changed: it is no dummy', () => {
    const token = sign({ userId: 123 });
    expect(() => verifyByHand(forge({ ...readParts(token), payload: admin }, signedLike(token)), pem)).toThrow();
  });
});
