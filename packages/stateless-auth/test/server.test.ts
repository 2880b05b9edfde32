import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { claims, forge, header, makeKey, openPublisher, openServer } from './forge.ts';

const key = makeKey();
const token = forge(key.privateKey);
let server: Awaited<ReturnType<typeof openServer>>;

beforeAll(async () => {
  server = await openServer(key);
});
afterAll(() => server[Symbol.asyncDispose]());

/** A request byte by byte: header lines that fetch would not send. */
async function raw(...lines: string[]): Promise<string> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.end(['GET /profile HTTP/1.1', 'Host: x', 'Connection: close', ...lines, '', ''].join('\r\n'));
  return text(socket);
}

const statusOf = (response: string) => Number(response.split(' ')[1]);
const challengeOf = (response: string) => /^www-authenticate: (.*)\r$/im.exec(response)?.[1];

describe('who asks', () => {
  test('without a token is told what is needed, and of no error [RFC 6750 §3.1]', async () => {
    for (const lines of [[], ['Authorization: Basic am9objpwYXNzd29yZA=='], ['Authorization: Bearerish x']]) {
      const response = await raw(...lines);
      expect([statusOf(response), challengeOf(response)]).toEqual([
        401,
        'Bearer realm="profiles", scope="profile:read"',
      ]);
      expect(response).toContain('application/problem+json');
    }
  });

  test('with a good token is let in, however the scheme is written', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer ']) {
      expect(statusOf(await raw(`Authorization: ${scheme} ${token}`)), scheme).toBe(200);
    }
  });

  test.each<[string, string[]]>([
    ['two tokens', [`Authorization: Bearer ${token} ${token}`]],
    ['two tokens and a comma', [`Authorization: Bearer ${token}, Bearer ${token}`]],
    ['two headers', [`Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`]],
    ['a header of another scheme before the right one', ['Authorization: Basic x', `authorization: Bearer ${token}`]],
    ['the scheme alone', ['Authorization: Bearer']],
    ['a tab', [`Authorization: Bearer\t${token}`]],
    ['a token in quotes', [`Authorization: Bearer "${token}"`]],
  ])('with %s is told that this cannot be read', async (_what, lines) => {
    const response = await raw(...lines);
    expect([statusOf(response), challengeOf(response)]).toEqual([
      400,
      'Bearer realm="profiles", error="invalid_request"',
    ]);
  });

  test('with the token in the URL is refused, even with another one in the header', async () => {
    for (const [query, headers] of [
      [`?access_token=${token}`, {}],
      [`?a=b&access_token=${token}`, { Authorization: `Bearer ${token}` }],
    ] as const) {
      expect((await fetch(`${server.url}/profile${query}`, { headers })).status).toBe(400);
    }
  });

  test('for more than the token is good for is told what is missing', async () => {
    const reading = forge(key.privateKey, header(), claims({ scope: 'profile:read' }));
    const answer = await put(reading, ['light mode']);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
      403,
      'Bearer realm="profiles", error="insufficient_scope", scope="profile:write"',
    ]);
    const similar = forge(key.privateKey, header(), claims({ scope: 'profile:readonly xprofile:read' }));
    expect((await server.get(similar)).status).toBe(403);
  });
});

const put = (bearer: string, body: unknown) =>
  fetch(`${server.url}/preferences`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${bearer}` },
    body: JSON.stringify(body),
  });

describe('a server', () => {
  test('knows from the token alone who asks, and keeps one user from the other', async () => {
    const [one, other] = ['one', 'other'].map((sub) => forge(key.privateKey, header(), claims({ sub })));
    const changed = await put(one!, ['light mode']);
    expect([changed.status, await changed.json()]).toEqual([200, ['light mode']]);
    const answer = await server.get(one!);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const scope = 'profile:read profile:write';
    expect(await answer.json()).toEqual({ id: 'one', scope, preferences: ['light mode'] });
    expect(await (await server.get(other!)).json()).toEqual({
      id: 'other',
      scope,
      preferences: ['dark mode', 'notifications on'],
    });
  });

  test('refuses preferences that are none', async () => {
    for (const body of [{}, 'dark', [5], [''], ['x'.repeat(51)], Array.from({ length: 21 }, () => 'x')]) {
      expect((await put(token, body)).status, JSON.stringify(body)).toBe(400);
    }
  });

  test('says which methods there are, and what is not there', async () => {
    const post = await fetch(`${server.url}/profile`, { method: 'POST' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect((await fetch(`${server.url}/preferences`)).status).toBe(405);
    expect((await fetch(`${server.url}/login`)).status).toBe(404);
  });

  test('counts what becomes of tokens', async () => {
    await server.get(forge(key.privateKey, header(), claims({ exp: 5 })));
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/^tokens_checked_total\{outcome="accepted"\} [1-9]/m);
    expect(metrics).toMatch(/^tokens_checked_total\{outcome="expired"\} 1$/m);
    expect(metrics).toMatch(/^jwks_keys 1$/m);
  });

  test('starts without the issuer, says so, and is ready as soon as it has its keys', async () => {
    await using publisher = await openPublisher();
    await using fresh = await openServer(key, { issuerUrl: publisher.url, jwks: { cooldownMs: 0 } });
    const status = async (path: string) => (await fetch(fresh.url + path)).status;
    expect([await status('/live'), await status('/ready')]).toEqual([200, 503]);
    const answer = await fresh.get(token);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
    publisher.keys.push(key);
    await until('let in', async () => (await fresh.get(token)).status === 200);
    expect(await status('/ready')).toBe(200);
  });

  test('leaves nothing behind when it is closed', async () => {
    await using _leaks = noLeaks();
    const closing = await openServer(key, { revocation: {} });
    expect((await closing.get(token)).status).toBe(200);
    await closing[Symbol.asyncDispose]();
  });
});
