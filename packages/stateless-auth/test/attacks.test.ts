/** Forged tokens, shown to a real server. Each is refused, and with the same words, whatever is wrong with it. */
import { createHmac, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assemble, claims, forge, header, makeKey, openEndpoint, openServer, recordedLog } from './forge.ts';

const key = makeKey();
const attackers = makeKey('attackers');
const { log, lines } = recordedLog();
let server: Awaited<ReturnType<typeof openServer>>;
let endpoint: Awaited<ReturnType<typeof openEndpoint>>;

beforeAll(async () => {
  // What an attacker would have a verifier fetch: his own key, under the name that his tokens give.
  endpoint = await openEndpoint((_request, response) => response.end(JSON.stringify({ keys: [attackers.jwk] })));
  server = await openServer(key, { log, jwks: { cooldownMs: 0 } });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

async function expectRefused(token: string): Promise<void> {
  const response = await server.get(token);
  const told = [response.status, response.headers.get('www-authenticate'), await response.text()];
  expect(told, token).toEqual([
    401,
    'Bearer realm="profiles", error="invalid_token"',
    '{"title":"Unauthorized","status":401}',
  ]);
}

const hmac =
  (secret: string | Buffer, hash = 'sha256') =>
  (signed: string) =>
    createHmac(hash, secret).update(signed).digest();
const spki = (type: 'pem' | 'der') => key.publicKey.export({ type: 'spki', format: type as 'pem' }) as string | Buffer;

test('what is not forged is let in', async () => {
  expect((await server.get(forge(key.privateKey))).status).toBe(200);
});

describe('a server refuses', () => {
  test('alg none, however it is written, without a signature and with one', async () => {
    const spellings = Array.from({ length: 16 }, (_, bits) =>
      'none'
        .split('')
        .map((letter, at) => (bits & (1 << at) ? letter.toUpperCase() : letter))
        .join(''),
    );
    const [, , signature] = forge(key.privateKey).split('.');
    for (const alg of [...spellings, '', null, undefined]) {
      for (const tail of ['', signature!]) await expectRefused(assemble(header({ alg }), claims(), () => tail));
    }
  });

  test('HMACs that have the public key as their secret', async () => {
    const pem = spki('pem') as string;
    const secrets = [pem, pem.trim(), pem.replace(/-.*-|\n/g, ''), spki('der'), JSON.stringify(key.jwk), key.jwk.x!];
    for (const secret of secrets) {
      await expectRefused(assemble(header({ alg: 'HS256' }), claims(), hmac(secret)));
      await expectRefused(assemble(header({ alg: 'HS512' }), claims(), hmac(secret, 'sha512')));
      // Also the other way round: it says ES256, and is an HMAC.
      await expectRefused(
        assemble(header(), claims(), (signed) => Buffer.concat([hmac(secret)(signed), Buffer.alloc(32)])),
      );
    }
  });

  test('other algorithms with other keys', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
    const ed25519 = generateKeyPairSync('ed25519').privateKey;
    const algorithms: [string, KeyObject, string | null][] = [
      ['RS256', rsa, 'sha256'],
      ['ES384', p384, 'sha384'],
      ['EdDSA', ed25519, null],
      ['ES512', key.privateKey, 'sha512'], // the right key
      ['es256', key.privateKey, 'sha256'],
    ];
    for (const [alg, privateKey, hash] of algorithms) {
      const sign = (signed: string) =>
        signBytes(hash, Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      await expectRefused(assemble(header({ alg }), claims(), sign));
      if (privateKey !== key.privateKey) await expectRefused(assemble(header(), claims(), sign));
    }
  });

  test('keys that a token brings along, or says where to fetch, and asks for none of them', async () => {
    const url = `${endpoint.url}/.well-known/jwks.json`;
    const pem = attackers.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const members = [
      { jku: url },
      { x5u: url },
      { jwk: attackers.jwk },
      { x5c: [pem.replace(/-.*-|\n/g, '')] },
      { jku: url, jwk: attackers.jwk, x5u: url },
    ];
    for (const kid of ['attackers', key.kid, url]) {
      for (const member of members) await expectRefused(forge(attackers.privateKey, header({ kid, ...member })));
    }
    await expectRefused(forge(attackers.privateKey, header({ kid: 'attackers' }), claims({ iss: endpoint.url })));
    expect(endpoint.requests).toBe(0);
  });

  test('extensions that it would have to understand, although the signature is right', async () => {
    const extensions = [
      { crit: ['exp'] },
      { crit: ['b64'], b64: false },
      { crit: [] },
      { zip: 'DEF' },
      { jku: server.url },
    ];
    for (const extension of extensions) await expectRefused(forge(key.privateKey, header(extension)));
  });

  test('names of keys that are paths, queries or properties', async () => {
    const kids = [
      '../../../../dev/null',
      '/etc/passwd',
      "x' union select 'secret",
      endpoint.url,
      '__proto__',
      'constructor',
    ];
    for (const kid of [...kids, '', 'key-1\0', 'key-1 ', 'KEY-1', 'x'.repeat(2_000)]) {
      await expectRefused(forge(attackers.privateKey, header({ kid })));
      // The key that `/dev/null` would be, and an empty secret.
      await expectRefused(assemble(header({ kid, alg: 'HS256' }), claims(), hmac('')));
    }
    expect(endpoint.requests).toBe(0);
  });

  test('signatures that are none: zeros, the order of the curve, another length, another form [CVE-2022-21449]', async () => {
    const n = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
    const zero = Buffer.alloc(32);
    const der = (signed: string) => signBytes('sha256', Buffer.from(signed), key.privateKey);
    const right = (signed: string) =>
      signBytes('sha256', Buffer.from(signed), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
    const forms: ((signed: string) => Buffer)[] = [
      () => Buffer.concat([zero, zero]),
      () => Buffer.concat([n, n]),
      (signed) => Buffer.concat([right(signed).subarray(0, 32), zero]),
      (signed) => Buffer.concat([zero, right(signed).subarray(32)]),
      () => Buffer.alloc(0),
      (signed) => right(signed).subarray(0, 63),
      (signed) => Buffer.concat([right(signed), Buffer.alloc(1)]),
      der,
    ];
    for (const form of forms) await expectRefused(assemble(header(), claims(), form));
  });

  test('a payload that was changed after it was signed', async () => {
    const token = forge(key.privateKey, header(), claims({ scope: 'profile:read' }));
    expect((await server.get(token)).status).toBe(200);
    const [, payload, signature] = token.split('.');
    const said = JSON.parse(Buffer.from(payload!, 'base64url').toString()) as Record<string, unknown>;
    for (const change of [{ scope: 'profile:read profile:write' }, { sub: 'admin' }, { exp: 4_102_444_800 }]) {
      await expectRefused(assemble(header(), { ...said, ...change }, () => signature!));
    }
  });

  test('tokens that another library has made with a key of the attacker, under the name of ours', async () => {
    const token = jwt.sign(claims(), attackers.privateKey, {
      algorithm: 'ES256',
      header: { ...header(), alg: 'ES256' },
    });
    await expectRefused(token);
  });

  test('tokens that are too long, and headers that are too long to be read at all', async () => {
    await expectRefused(forge(key.privateKey, header(), claims({ more: 'x'.repeat(8_000) })));
    expect((await server.get('x'.repeat(20_000))).status).toBe(431);
  });
});

test('the log says what was wrong, and never has a token in it', () => {
  const refused = lines.filter(({ message }) => message === 'token refused');
  expect(new Set(refused.map(({ reason }) => reason))).toEqual(
    new Set(['malformed', 'header', 'unknown-key', 'signature']),
  );
  const text = JSON.stringify(lines);
  expect(text).not.toMatch(/eyJ|user-1/); // `{"` in base64url, and the user's id
  expect(text).toContain('"kid":"../../../../dev/null"');
  expect(Math.max(...lines.map((line) => JSON.stringify(line).length))).toBeLessThan(600);
});
