import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres } from '@patterns/services/testing';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { askIssuer } from '../ask-issuer.ts';
import { startServer } from '../server.ts';
import { quiet, recordedLog } from './forge.ts';
import { JOHN, openIssuer, said, type TestIssuer } from './issuer-stage.ts';

requirePostgres()('an issuer', () => {
  const { log, lines } = recordedLog();
  let issuer: TestIssuer;
  beforeAll(async () => {
    issuer = await openIssuer({ log });
  });
  afterAll(() => issuer[Symbol.asyncDispose]());

  test('gives tokens for the right password, which no cache may keep', async () => {
    const { status, headers, body } = await issuer.login();
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 600, scope: 'profile:read profile:write' });
  });

  test('makes access tokens that another implementation takes, with nothing personal in them', async () => {
    const { access_token: token } = await issuer.enter();
    const { payload, protectedHeader } = await jwtVerify(
      token,
      createRemoteJWKSet(new URL(`${issuer.url}/.well-known/jwks.json`)),
      {
        issuer: issuer.url,
        audience: 'https://profiles.example',
        typ: 'at+jwt',
        algorithms: ['ES256'],
        requiredClaims: ['sub', 'jti', 'iat', 'exp', 'client_id', 'scope'], // [RFC 9068 §2.2]
      },
    );
    expect(payload.exp! - payload.iat!).toBe(600);
    expect(Object.keys(protectedHeader).sort()).toEqual(['alg', 'kid', 'typ']);
    expect(JSON.stringify(payload)).not.toContain('john');
    expect(token.length).toBeLessThan(600);
  });

  test('gives less than everything to whoever asks for less', async () => {
    const { body } = await issuer.login({ ...JOHN, scope: 'profile:read' });
    expect([body.scope, said(body.access_token).claims.scope]).toEqual(['profile:read', 'profile:read']);
    const next = await issuer.exchange(body.refresh_token);
    expect(said(next.body.access_token).claims.scope).toBe('profile:read');
    expect((await issuer.login({ ...JOHN, scope: 'profile:read admin' })).body).toEqual({ error: 'invalid_scope' });
  });

  test('tells a wrong password from an unknown user in no way, and takes the same pains with both', async () => {
    const attempt = async (change: Partial<typeof JOHN>) => {
      const before = await hashes();
      const { status, body } = await issuer.login({ ...JOHN, ...change });
      return { status, body, hashes: (await hashes()) - before };
    };
    const wrong = await attempt({ password: 'wrong' });
    const body = { error: 'invalid_grant', error_description: 'wrong name or password' };
    expect(wrong).toEqual({ status: 400, body, hashes: 1 });
    expect(await attempt({ name: 'nobody' })).toEqual(wrong);
  });
  const hashes = async () => {
    const metrics = await (await fetch(`${issuer.url}/metrics`)).text();
    return Number(/^issuer_password_hashes_total (\d+)$/m.exec(metrics)?.[1]);
  };

  test.each([
    [{}],
    [{ name: 'john' }],
    [{ name: 'john', password: '' }],
    [{ name: ['john'], password: 'x' }],
    [{ name: 'john', password: 'x'.repeat(201) }],
    [[]],
  ])('refuses a login that is none (%#)', async (body) => {
    expect(await issuer.login(body)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });

  test('refuses a login that is not JSON, or more of it than anybody needs', async () => {
    const post = (type: string, body: string) =>
      fetch(`${issuer.url}/login`, { method: 'POST', headers: { 'Content-Type': type }, body });
    expect((await post('application/x-www-form-urlencoded', 'name=john&password=x')).status).toBe(400);
    expect((await post('application/json', '{')).status).toBe(400);
    expect((await post('application/json', JSON.stringify({ name: 'x'.repeat(5_000) }))).status).toBe(413);
  });

  test.each<[Record<string, string> | string, string]>([
    [{}, 'invalid_request'],
    [{ grant_type: 'refresh_token' }, 'invalid_request'],
    [{ grant_type: 'password', username: 'john', password: JOHN.password }, 'unsupported_grant_type'],
    [{ grant_type: 'refresh_token', refresh_token: 'nonsense' }, 'invalid_grant'],
    [{ grant_type: 'refresh_token', refresh_token: `${'A'.repeat(22)}.${'A'.repeat(43)}` }, 'invalid_grant'],
    ['grant_type=refresh_token&refresh_token=a&refresh_token=b', 'invalid_request'],
  ])('refuses as OAuth says (%#)', async (fields, error) => {
    const response = await fetch(`${issuer.url}/token`, { method: 'POST', body: new URLSearchParams(fields) });
    expect([response.status, response.headers.get('cache-control')]).toEqual([400, 'no-store']);
    expect(await response.json()).toMatchObject({ error });
  });

  test('takes no access token for a refresh token, and its servers no refresh token for an access token', async () => {
    const { access_token: access, refresh_token: refresh } = await issuer.enter();
    expect((await issuer.exchange(access)).body.error).toBe('invalid_grant');
    await using server = await startServer({ issuerUrl: issuer.url, log: quiet });
    const get = (token: string) => fetch(`${server.url}/profile`, { headers: { Authorization: `Bearer ${token}` } });
    expect([(await get(access)).status, (await get(refresh)).status]).toEqual([200, 401]);
  });

  test('revokes an access token, if it has made it', async () => {
    const { access_token: access } = await issuer.enter();
    const [head, payload] = access.split('.');
    const before = await issuer.revoked();
    for (const token of ['nonsense', `${head}.${payload}.${'A'.repeat(86)}`]) {
      expect((await issuer.form('/revoke', { token })).status).toBe(200);
    }
    expect(await issuer.revoked()).toEqual(before);
    expect((await issuer.form('/revoke', { token: access })).status).toBe(200);
    expect(await issuer.revoked()).toContain(said(access).claims.jti);
    expect((await issuer.form('/revoke', {})).body.error).toBe('invalid_request');
  });

  test('does not send a deny-list again that is the same', async () => {
    const ask = (etag?: string) =>
      askIssuer(`${issuer.url}/revoked`, {
        timeoutMs: 5_000,
        maxBytes: 100_000,
        signal: new AbortController().signal,
        etag,
      });
    const first = await ask();
    expect(first?.etag).toBeDefined();
    expect(await ask(first?.etag)).toBeUndefined();
  });

  test('publishes public keys, and lets caches keep them', async () => {
    const { headers, body } = await issuer.get('/.well-known/jwks.json');
    expect(headers.get('cache-control')).toBe('public, max-age=300');
    expect(body.keys.map((key: object) => Object.keys(key).sort())).toEqual([
      ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
    ]);
  });

  test('keeps neither passwords nor refresh tokens, and logs no secret', async () => {
    const { access_token: access, refresh_token: refresh } = await issuer.enter();
    await issuer.exchange(refresh);
    await issuer.exchange('x');
    const tables = await Promise.all(
      ['users', 'families', 'access_tokens'].map((table) => issuer.query(`select t::text from issuer.${table} t`)),
    );
    const secret = Buffer.from(refresh.split('.')[1]!, 'base64url');
    const text = JSON.stringify([tables, lines]);
    for (const each of [JOHN.password, refresh, refresh.split('.')[1]!, secret.toString('hex'), access, 'john"']) {
      expect(text.replace('"(', '').includes(each), each).toBe(false);
    }
    expect(lines).toContainEqual(expect.objectContaining({ message: 'refresh token refused', reason: 'unknown' }));
  });

  test('counts logins and exchanges', async () => {
    const metrics = await (await fetch(`${issuer.url}/metrics`)).text();
    expect(metrics).toMatch(/^issuer_logins_total\{outcome="refused"\} 2$/m);
    expect(metrics).toMatch(/^issuer_exchanges_total\{outcome="unknown"\} [1-9]/m);
    expect((await issuer.get('/ready')).status).toBe(200);
  });
});

requirePostgres()('an issuer of its own', () => {
  describe('concurrently', { concurrent: true }, () => {
    test('lets nobody guess on, and asks for patience', async () => {
      await using issuer = await openIssuer({ maxFailedLogins: 3 });
      for (let n = 0; n < 5; n++) expect((await issuer.login()).status).toBe(200); // these do not count
      for (let n = 0; n < 3; n++) expect((await issuer.login({ ...JOHN, password: `${n}` })).status).toBe(400);
      const refused = await fetch(`${issuer.url}/login`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': '192.0.2.1' }, // says who likes to
        body: JSON.stringify(JOHN),
      });
      expect([refused.status, refused.headers.get('content-type')]).toEqual([429, 'application/problem+json']);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    });

    test('refuses logins beyond what it can hash', async () => {
      await using issuer = await openIssuer({ maxFailedLogins: 1_000 });
      const answers = await Promise.all(Array.from({ length: 20 }, () => issuer.login()));
      const statuses = answers.map(({ status }) => status);
      expect(new Set(statuses)).toEqual(new Set([200, 503]));
      expect((await issuer.login()).status).toBe(200);
    });

    test('answers 503 without its database, and goes on when it is back', async () => {
      await using issuer = await openIssuer();
      const { refresh_token: refresh } = await issuer.enter();
      const name = new URL(issuer.databaseUrl).pathname.slice(1);
      await using server = await connectTo(inject('databaseUrl'));
      await server.query(`alter database ${name} allow_connections false`);
      await server.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
      const away = await issuer.exchange(refresh);
      expect([away.status, away.headers.get('retry-after')]).toEqual([503, '2']);
      expect((await issuer.get('/.well-known/jwks.json')).status).toBe(200); // servers can go on
      await server.query(`alter database ${name} allow_connections true`);
      expect((await issuer.exchange(refresh)).status).toBe(200);
    });
  });

  test('leaves nothing behind when it is closed', async () => {
    await using _leaks = noLeaks();
    await using issuer = await openIssuer();
    expect((await issuer.login()).status).toBe(200);
  });
});

async function connectTo(url: string) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    query: (text: string, values?: unknown[]) => client.query(text, values),
    [Symbol.asyncDispose]: () => client.end(),
  };
}
