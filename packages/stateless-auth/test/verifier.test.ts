import { SignJWT } from 'jose';
import { describe, expect, test, vi } from 'vitest';
import { AUDIENCE, AuthError, type Claims } from '../protocol.ts';
import { createVerifier, type VerifierOptions } from '../verifier.ts';
import { assemble, claims, forge, header, ISSUER, makeKey, nowSeconds, sourceOf } from './forge.ts';

const key = makeKey();

function open(options: Partial<VerifierOptions> = {}) {
  return createVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: sourceOf(key), leewaySeconds: 5, ...options });
}

/** The reason for which it is refused. */
async function refusal(token: string, verifier = open()): Promise<string> {
  const verdict: unknown = await verifier.verify(token).catch((error: unknown) => error);
  return verdict instanceof AuthError ? verdict.code : 'accepted';
}

describe('a verifier', () => {
  test('takes a token that another implementation has made', async () => {
    const token = await new SignJWT({ scope: 'profile:read' })
      .setProtectedHeader({ alg: 'ES256', typ: 'application/AT+JWT', kid: key.kid })
      .setIssuer(ISSUER)
      .setAudience([AUDIENCE, 'https://other.example'])
      .setSubject('user-1')
      .setJti('1')
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(key.privateKey);
    expect(await open().verify(token)).toMatchObject({ sub: 'user-1', jti: '1', scope: 'profile:read' });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['no expiry', { exp: undefined }, 'claims'],
    ['an expiry that is no number', { exp: '4102444800' }, 'claims'],
    ['an endless expiry', { exp: 'Infinity' }, 'claims'],
    ['no subject', { sub: undefined }, 'claims'],
    ['an empty subject', { sub: '' }, 'claims'],
    ['no id', { jti: undefined }, 'claims'],
    ['no time of issue', { iat: undefined }, 'claims'],
    ['no scope', { scope: undefined }, 'claims'],
    ['another issuer', { iss: 'https://evil.example' }, 'issuer'],
    ['an issuer that only begins like ours', { iss: `${ISSUER}.evil.example` }, 'issuer'],
    ['no issuer', { iss: undefined }, 'issuer'],
    ['another audience', { aud: 'https://other.example' }, 'audience'],
    ['no audience', { aud: undefined }, 'audience'],
    ['an expiry in the past', { exp: nowSeconds() - 10 }, 'expired'],
    ['a beginning in the future', { nbf: nowSeconds() + 60 }, 'not-yet-valid'],
    ['a time of issue in the future', { iat: nowSeconds() + 60 }, 'not-yet-valid'],
  ])('refuses a token with %s', async (_what, changes, reason) => {
    const payload = JSON.stringify(claims(changes)).replace('"Infinity"', '1e999');
    expect(await refusal(forge(key.privateKey, header(), payload))).toBe(reason);
  });

  test.each<[string, Record<string, unknown>]>([
    ['of another algorithm', { alg: 'ES384' }],
    ['of no type', { typ: undefined }],
    ['that is an ID token', { typ: 'JWT' }],
    ['that names no key', { kid: undefined }],
    ['that names its key by a number', { kid: 1 }],
  ])('refuses a token %s', async (_what, changes) => {
    expect(await refusal(forge(key.privateKey, header(changes)))).toBe('header');
  });

  test('allows for clocks that differ, and not for more', async () => {
    const off = (seconds: number) => ({ iat: nowSeconds() + seconds, nbf: nowSeconds() + seconds });
    const late = (seconds: number) => ({ iat: nowSeconds() - 600, exp: nowSeconds() - seconds });
    const verifier = open({ leewaySeconds: 30 });
    const verdicts = [off(20), off(40), late(20), late(40)].map((times) =>
      refusal(forge(key.privateKey, header(), claims(times)), verifier),
    );
    expect(await Promise.all(verdicts)).toEqual(['accepted', 'not-yet-valid', 'accepted', 'expired']);
    expect(() => open({ leewaySeconds: 61 })).toThrow(RangeError);
  });

  test.each([
    ['nothing', ''],
    ['two parts', 'e30.e30'],
    ['four parts', `${forge(key.privateKey)}.e30`],
    ['a header that is an array', forge(key.privateKey, [])],
    ['a header that is not JSON', forge(key.privateKey, '{')],
    ['a payload that is not an object', forge(key.privateKey, header(), '"text"')],
    ['a payload that is not JSON', forge(key.privateKey, header(), '{')],
    ['characters of other alphabets', forge(key.privateKey).replace(/.$/, '=')],
    ['a line break at its end', `${forge(key.privateKey)}\n`],
    ['more than 4 KB', forge(key.privateKey, header(), claims({ more: 'x'.repeat(4_096) }))],
  ])('refuses %s', async (_what, token) => {
    expect(await refusal(token)).not.toBe('accepted');
  });
});

describe('what has been verified once', () => {
  /** How often the keys were asked for one: each time a signature is verified. */
  function openCounted(options: Partial<VerifierOptions> = {}) {
    const source = sourceOf(key);
    const verified = { times: 0 };
    const find = (kid: string) => {
      verified.times++;
      return source.find(kid);
    };
    return { verifier: open({ keys: { peek: source.peek, find }, ...options }), source, verified };
  }

  test('is not verified again, and says the same', async () => {
    const { verifier, verified } = openCounted();
    const token = forge(key.privateKey);
    const first = await verifier.verify(token);
    expect(await verifier.verify(Buffer.from(token).toString())).toEqual(first);
    expect(verified.times).toBe(1);
    expect(() => Object.assign(first, { scope: 'everything' } satisfies Partial<Claims>)).toThrow(TypeError);
  });

  test('does not vouch for a token that differs in one character', async () => {
    const { verifier } = openCounted();
    const token = forge(key.privateKey, header(), claims({ sub: 'user-1' }));
    await verifier.verify(token);
    const [head, , signature] = token.split('.');
    for (const payload of [claims({ sub: 'admin' }), '']) {
      expect(
        await refusal(
          assemble(header(), payload, () => signature!),
          verifier,
        ),
      ).not.toBe('accepted');
    }
    expect(await refusal(`${head}..${signature}`, verifier)).toBe('malformed');
    for (const at of [0, 5, head!.length + 5, token.length - 20]) {
      const other = token[at] === 'A' ? 'B' : 'A';
      expect(await refusal(token.slice(0, at) + other + token.slice(at + 1), verifier), `at ${at}`).not.toBe(
        'accepted',
      );
    }
  });

  test('expires all the same', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const { verifier, verified } = openCounted({ leewaySeconds: 0 });
      const token = forge(key.privateKey, header(), claims({ exp: nowSeconds() + 600 }));
      await verifier.verify(token);
      vi.setSystemTime(Date.now() + 599_000 - (Date.now() % 1_000));
      await verifier.verify(token);
      expect(verified.times).toBe(1);
      vi.setSystemTime(Date.now() + 1_000);
      expect(await refusal(token, verifier)).toBe('expired');
      expect(verifier.cache?.size).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('is gone with the key that signed it', async () => {
    const { verifier, source } = openCounted();
    const token = forge(key.privateKey);
    await verifier.verify(token);
    source.keys.splice(0, 1, makeKey('key-2'));
    expect(await refusal(token, verifier)).toBe('unknown-key');
    source.keys.splice(0, 1, makeKey('key-1')); // another key of the same name
    expect(await refusal(token, verifier)).toBe('signature');
  });

  test('is refused as soon as it is revoked', async () => {
    const revoked = new Set<string>();
    const { verifier } = openCounted({ isRevoked: (jti) => revoked.has(jti) });
    const token = forge(key.privateKey, header(), claims({ jti: 'ticket' }));
    await verifier.verify(token);
    revoked.add('ticket');
    expect(await refusal(token, verifier)).toBe('revoked');
  });

  test('is forgotten when there is too much of it, the oldest first', async () => {
    const { verifier, verified } = openCounted({ cacheEntries: 2 });
    const tokens = [1, 2, 3].map(() => forge(key.privateKey));
    for (const token of tokens) await verifier.verify(token);
    await verifier.verify(tokens[2]!);
    expect([verified.times, verifier.cache?.size]).toEqual([3, 2]);
    await verifier.verify(tokens[0]!);
    expect(verified.times).toBe(4);
  });

  test('does not include what was refused', async () => {
    const { verifier } = openCounted();
    for (let n = 0; n < 10; n++) await refusal(forge(makeKey().privateKey), verifier);
    expect(verifier.cache?.size).toBe(0);
  });
});
