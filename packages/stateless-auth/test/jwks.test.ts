import { generateKeyPairSync } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { until, within } from '@patterns/kit/testing/until';
import { describe, expect, test } from 'vitest';
import { type JwksOptions, openJwks } from '../jwks.ts';
import { makeKey, openEndpoint, openPublisher, quiet } from './forge.ts';

const open = (url: string, options: Partial<JwksOptions> = {}) => openJwks({ url, log: quiet, ...options });

// Made here: it takes up to a second, in which nobody else is served.
const { publicKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** An endpoint that publishes `first`, and from the second request on answers as it is told. */
async function openFailing(answer: RequestListener, first = makeKey()) {
  let isFirst = true;
  const endpoint = await openEndpoint((request, response) => {
    if (isFirst) response.end(JSON.stringify({ keys: [first.jwk] }));
    else answer(request, response);
    isFirst = false;
  });
  return Object.assign(endpoint, { first });
}

describe('the keys of an issuer', { concurrent: true }, () => {
  test('are fetched in the background: a new one comes, and one that was withdrawn goes', async () => {
    const [first, second] = [makeKey('first'), makeKey('second')];
    await using publisher = await openPublisher(first);
    await using jwks = await open(publisher.url, { maxAgeMs: 10 });
    const kept = jwks.peek('first');
    publisher.keys.push(second);
    await until('the second key', () => jwks.peek('second'));
    expect(jwks.peek('first')).toBe(kept); // the very same: nothing that was verified with it is verified anew
    publisher.keys.shift();
    await until('no first key', () => !jwks.peek('first'));
  });

  test('are fetched at once for a token with an unknown key', async () => {
    await using publisher = await openPublisher(makeKey('first'));
    await using jwks = await open(publisher.url, { cooldownMs: 0 });
    const second = makeKey('second');
    publisher.keys.push(second);
    expect((await jwks.find('second'))?.equals(second.publicKey)).toBe(true);
    expect(publisher.jwksRequests).toBe(2);
  });

  test('are fetched once, however many unknown keys are named', async () => {
    await using publisher = await openPublisher(makeKey());
    await using patient = await open(publisher.url, { cooldownMs: 60_000 });
    await using eager = await open(publisher.url, { cooldownMs: 0 });
    const flood = (jwks: typeof eager) =>
      Promise.all(Array.from({ length: 500 }, (_, n) => jwks.find(`invented-${n}`)));
    publisher.jwksRequests = 0;
    await flood(patient); // they were fetched just now
    expect(publisher.jwksRequests).toBe(0);
    expect((await flood(eager)).every((found) => found === undefined)).toBe(true);
    expect(publisher.jwksRequests).toBe(1);
  });

  test.each<[string, RequestListener]>([
    ['an error', (_request, response) => void response.writeHead(500).end('{"keys":[]}')],
    ['a page of HTML', (_request, response) => void response.end('<html>')],
    ['no set', (_request, response) => void response.end('{"keys":{}}')],
    ['an empty set', (_request, response) => void response.end('{"keys":[]}')],
    ['a redirect', (_request, response) => void response.writeHead(302, { Location: '/elsewhere' }).end()],
    ['more than anybody needs', (_request, response) => void response.end(`{"keys":[${' '.repeat(100_000)}]}`)],
    ['a body that does not end', (_request, response) => void response.write('{"keys":[')],
    ['nothing', () => {}],
    ['a closed line', ({ socket }) => socket.destroy()],
  ])('stay as they are when the issuer answers %s', async (_what, answer) => {
    await using endpoint = await openFailing(answer);
    await using jwks = await open(endpoint.url, { cooldownMs: 0, timeoutMs: 1_500 });
    // A key that we do not have may be one that we have missed: it cannot be said that the token is wrong.
    const unknown = jwks.find('unknown').catch((error: unknown) => error);
    expect(await unknown).toMatchObject({ name: 'AuthError', code: 'unavailable' });
    expect(await jwks.find(endpoint.first.kid)).toBeDefined();
    expect(endpoint.requests).toBe(2);
  });

  test('are fetched as soon as the issuer is there, when it was away at the start', async () => {
    let isThere = false;
    const key = makeKey();
    await using endpoint = await openEndpoint(({ socket }, response) => {
      if (isThere) response.end(JSON.stringify({ keys: [key.jwk] }));
      else socket.destroy();
    });
    await using jwks = await open(endpoint.url, { cooldownMs: 0 });
    await expect(jwks.find(key.kid)).rejects.toMatchObject({ code: 'unavailable' });
    isThere = true;
    expect(await jwks.find(key.kid)).toBeDefined();
  });

  test('are too old one day, when the issuer does not come back', async () => {
    await using endpoint = await openFailing(({ socket }) => socket.destroy());
    await using jwks = await open(endpoint.url, { cooldownMs: 0, maxStaleMs: 1 });
    await until('too old', () => jwks.ageMs > 1);
    expect(jwks.peek(endpoint.first.kid)).toBeUndefined();
    await expect(jwks.find(endpoint.first.kid)).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('are those for ES256, and no others', async () => {
    const good = makeKey('good');
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' });
    const keys = [
      { ...rsa.export({ format: 'jwk' }), kid: 'rsa' },
      { ...p384, kid: 'p384' },
      { kty: 'oct', k: 'c2VjcmV0', kid: 'secret' },
      { ...good.jwk, kid: 'for-encryption', use: 'enc' },
      { ...good.jwk, kid: 'of-another-algorithm', alg: 'ES384' },
      { ...good.jwk, kid: 'off-the-curve', x: good.jwk.y },
      { ...good.jwk, kid: undefined },
      { ...good.jwk, kid: 5 },
      null,
      good.privateKey.export({ format: 'jwk' }),
      good.jwk,
    ];
    await using endpoint = await openEndpoint((_request, response) => response.end(JSON.stringify({ keys })));
    await using jwks = await open(endpoint.url);
    expect(jwks.size).toBe(1);
    expect(jwks.peek('good')?.type).toBe('public');
  });

  test('are not waited for when the server stops', async () => {
    await using endpoint = await openFailing(() => {});
    const jwks = await open(endpoint.url, { maxAgeMs: 1, timeoutMs: 60_000 });
    await until('a request without an answer', () => endpoint.requests === 2);
    await within('it has stopped', 5_000, Promise.resolve(jwks[Symbol.asyncDispose]()));
  });
});
