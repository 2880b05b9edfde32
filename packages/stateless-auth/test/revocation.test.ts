import { until } from '@patterns/kit/testing/until';
import { describe, expect, test } from 'vitest';
import { type DenyListOptions, openDenyList } from '../revocation.ts';
import { claims, forge, header, makeKey, openEndpoint, openServer, quiet } from './forge.ts';

const key = makeKey();
const open = (url: string, options: Partial<DenyListOptions> = {}) => openDenyList({ url, log: quiet, ...options });

describe('a revoked token', { concurrent: true }, () => {
  test('is good until it expires, where nobody asks', async () => {
    await using server = await openServer(key);
    server.publisher.revoked.push('ticket');
    expect((await server.get(forge(key.privateKey, header(), claims({ jti: 'ticket' })))).status).toBe(200);
    expect(server.publisher.revokedRequests).toBe(0);
  });

  test('is refused from the next poll on, also by a server that has it in its cache, and others are not', async () => {
    await using server = await openServer(key, { revocation: { pollMs: 10 } });
    const [token, other] = ['ticket', 'other'].map((jti) => forge(key.privateKey, header(), claims({ jti })));
    expect((await server.get(token!)).status).toBe(200);
    server.publisher.revoked.push('ticket');
    await until('a refusal', async () => (await server.get(token!)).status === 401);
    expect((await server.get(other!)).status).toBe(200);
  });

  test('is refused in each of its spellings', async () => {
    await using server = await openServer(key, { revocation: {} });
    const token = forge(key.privateKey, header(), claims({ jti: 'ticket' }));
    const twin = mirror(token);
    expect([(await server.get(token)).status, (await server.get(twin)).status]).toEqual([200, 200]);
    await using revoking = await openServer(key, { revocation: { pollMs: 10 } });
    revoking.publisher.revoked.push('ticket');
    for (const each of [token, twin]) await until('a refusal', async () => (await revoking.get(each)).status === 401);
  });
});

/** The other signature that fits as well: (r, n - s) [SEC 1 §4.1.4]. Who has a token can make it without the key. */
function mirror(token: string): string {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const dot = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(dot + 1), 'base64url');
  const s = n - BigInt(`0x${signature.toString('hex', 32)}`);
  const other = Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
  return `${token.slice(0, dot)}.${other.toString('base64url')}`;
}

describe('a deny-list', { concurrent: true }, () => {
  /** Answers with `revoked`, under the entity tag `tag`. */
  async function openIssuer() {
    const state = { revoked: ['one'] as unknown, tag: '"1"', unchanged: 0, sent: 0 };
    const endpoint = await openEndpoint(({ headers }, response) => {
      if (headers['if-none-match'] === state.tag) {
        state.unchanged++;
        response.writeHead(304).end();
      } else {
        state.sent++;
        response.setHeader('ETag', state.tag).end(JSON.stringify({ revoked: state.revoked }));
      }
    });
    return Object.assign(state, { url: endpoint.url, [Symbol.asyncDispose]: endpoint[Symbol.asyncDispose] });
  }

  test('is not sent again while it is the same, and forgets what is no longer on it', async () => {
    await using issuer = await openIssuer();
    await using list = await open(issuer.url, { pollMs: 5 });
    await until('three polls without news', () => issuer.unchanged > 2);
    expect(list.isRevoked('one')).toBe(true);
    Object.assign(issuer, { revoked: ['two'], tag: '"2"' });
    await until('the news', () => list.isRevoked('two'));
    expect([list.isRevoked('one'), list.size]).toEqual([false, 1]);
  });

  test.each([[{ accept: [] }], [['x', 5]], ['x'], [['x'.repeat(2_000_000)]]])(
    'stays as it is when the issuer answers nonsense (%#)',
    async (revoked) => {
      await using issuer = await openIssuer();
      await using list = await open(issuer.url, { pollMs: 5 });
      Object.assign(issuer, { revoked, tag: '"2"' });
      await until('some polls that fail', () => issuer.sent > 3);
      expect([list.isRevoked('one'), list.size]).toEqual([true, 1]);
    },
  );

  test.each([
    ['accept' as const, 200],
    ['refuse' as const, 503],
  ])('that is too old: %s', async (whenStale, status) => {
    await using server = await openServer(key, { revocation: { pollMs: 5, maxStaleMs: 30, whenStale } });
    server.publisher.revoked.push('ticket');
    await until(
      'the refusal',
      async () => (await server.get(forge(key.privateKey, header(), claims({ jti: 'ticket' })))).status === 401,
    );
    await server.publisher[Symbol.asyncDispose]();
    const token = forge(key.privateKey);
    const answer = await until('an old list', async () => {
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      return Number(/^deny_list_age_seconds (.+)$/m.exec(metrics)?.[1]) > 0.03 && (await server.get(token));
    });
    expect(answer.status).toBe(status);
    expect(answer.headers.has('retry-after')).toBe(status === 503);
    // What was known stays known.
    const revoked = await server.get(forge(key.privateKey, header(), claims({ jti: 'ticket' })));
    expect(revoked.status).toBe(whenStale === 'accept' ? 401 : 503);
  });
});
