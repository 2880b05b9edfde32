/** The ways of verifying a token, and of signing one, that the stateless-auth benchmark compares. */
import { createSecretKey, verify as verifySignature } from 'node:crypto';
import { AUDIENCE } from '@patterns/stateless-auth/protocol';
import { createVerifier } from '@patterns/stateless-auth/verifier';
import { jwtVerify } from 'jose';
import jwt from 'jsonwebtoken';
import { type Algorithm, ISSUER, KEY_ID, makeKeys, signToken, signWithJose } from './stateless-auth-tokens.ts';

/** Something to be done over and over: once for each token, and from the first one again. */
export interface Work {
  readonly tokens: readonly string[];
  readonly once: (token: string) => unknown;
}

/** What is made ready once, in the process that does the work. */
type Prepare = (cacheEntries: number) => Work | Promise<Work>;

export const CACHED = 'ours, ES256, one token again and again';
export const PLAIN_ES256 = 'jsonwebtoken, ES256, KeyObject';
export const HS256_TEXT = 'jsonwebtoken, HS256, the textbook: its secret is a string';
export const HS256_KEY = 'jsonwebtoken, HS256, the textbook, with a KeyObject';

/** By name, in the order of the table. */
export const verifiers: Readonly<Record<string, Prepare>> = {
  [CACHED]: (entries) => ours(entries, 1),
  'ours, ES256, as many tokens as the cache has places': (entries) => ours(entries, entries),
  'ours, ES256, twice as many: each one a miss': (entries) => ours(entries, 2 * entries),
  'ours, ES256, no cache': () => ours(0, 1),
  [PLAIN_ES256]: () => plain('ES256', (keys) => keys.verifying),
  'jsonwebtoken, ES256, PEM': () =>
    plain('ES256', ({ verifying }) => verifying.export({ type: 'spki', format: 'pem' })),
  'jsonwebtoken, RS256, KeyObject': () => plain('RS256', (keys) => keys.verifying),
  'jsonwebtoken, HS256, KeyObject': () => plain('HS256', (keys) => keys.verifying),
  [HS256_KEY]: () => textbook(createSecretKey(Buffer.from(TEXTBOOK_SECRET))),
  [HS256_TEXT]: () => textbook(TEXTBOOK_SECRET),
  'jose, ES256': () => withJose('ES256'),
  'jose, EdDSA': () => withJose('EdDSA'),
  'node:crypto, ES256, the signature alone': signatureAlone,
};

export const signers: Readonly<Record<string, Prepare>> = {
  'sign with jsonwebtoken, ES256': () => signing('ES256'),
  'sign with jsonwebtoken, RS256': () => signing('RS256'),
  'sign with jsonwebtoken, HS256': () => signing('HS256'),
  'sign with jose, EdDSA'() {
    const { signing: key } = makeKeys('EdDSA');
    return { tokens: [''], once: () => signWithJose('EdDSA', key) };
  },
};

function ours(cacheEntries: number, count: number): Work {
  const { signing: key, verifying } = makeKeys('ES256');
  const find = (kid: string) => (kid === KEY_ID ? verifying : undefined);
  const keys = { peek: find, find: async (kid: string) => find(kid) };
  const verifier = createVerifier({ issuer: ISSUER, audience: AUDIENCE, keys, cacheEntries });
  const tokens = Array.from({ length: count }, () => signToken('ES256', key));
  return { tokens, once: (token) => verifier.verify(token) };
}

const TEXTBOOK_SECRET = 'secret-key';

/** Its token is a third as long as the others, and nothing is demanded of it but the signature. */
function textbook(secret: jwt.Secret): Work {
  const user = { userId: 123, name: 'John', preferences: ['dark mode', 'notifications on'] };
  const token = jwt.sign(user, TEXTBOOK_SECRET);
  return { tokens: [token], once: (shown) => jwt.verify(shown, secret) };
}

type Material = Parameters<typeof jwt.verify>[1];

function plain(
  algorithm: Exclude<Algorithm, 'EdDSA'>,
  material: (keys: ReturnType<typeof makeKeys>) => Material,
): Work {
  const keys = makeKeys(algorithm);
  const key = material(keys);
  const options = { algorithms: [algorithm], issuer: ISSUER, audience: AUDIENCE };
  return { tokens: [signToken(algorithm, keys.signing)], once: (token) => jwt.verify(token, key, options) };
}

async function withJose(algorithm: Algorithm): Promise<Work> {
  const { signing: key, verifying } = makeKeys(algorithm);
  const options = { algorithms: [algorithm], issuer: ISSUER, audience: AUDIENCE };
  return {
    tokens: [await signWithJose(algorithm, key)],
    once: (token) => jwtVerify(token, verifying, options),
  };
}

/** What no verifier can do without: the floor, under all that is read and demanded of a token. */
function signatureAlone(): Work {
  const { signing: key, verifying } = makeKeys('ES256');
  const token = signToken('ES256', key);
  const end = token.lastIndexOf('.');
  const signed = Buffer.from(token.slice(0, end));
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  const with1363 = { key: verifying, dsaEncoding: 'ieee-p1363' } as const;
  return {
    tokens: [token],
    once() {
      if (!verifySignature('sha256', signed, with1363, signature)) throw new Error('not verified');
    },
  };
}

function signing(algorithm: Exclude<Algorithm, 'EdDSA'>): Work {
  const { signing: key } = makeKeys(algorithm);
  return { tokens: [''], once: () => signToken(algorithm, key) };
}
