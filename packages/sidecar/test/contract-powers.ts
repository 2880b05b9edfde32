/** What the sidecar adds: limits of size and rate, a token check, a cache, a trace. */
import { createSecretKey } from 'node:crypto';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import jwt from 'jsonwebtoken';
import { expect } from 'vitest';
import type { Clauses } from './contract.ts';
import { sendJson } from './contract-app.ts';
import { ask, rawClient, statuses } from './contract-client.ts';

const WINDOW = { windowMs: 60_000 };

export const powers: Clauses = {
  'body limit': [
    '413 by the length that is announced, before the app hears of it, and by counting where none is',
    async (rig) => {
      const { app, url } = await rig.start(undefined, { limits: { maxBodyBytes: 1_000 } });
      expect((await ask(url, '/', { method: 'POST', body: 'x'.repeat(1_001) })).status).toBe(413);
      expect(app.received()).toBe('');
      expect((await ask(url, '/', { method: 'POST', body: 'x'.repeat(1_000) })).status).toBe(200);
      const pieces = Array.from({ length: 10 }, () => 'x'.repeat(100));
      expect((await ask(url, '/', { method: 'POST', body: pieces })).status).toBe(200);
      using client = await rawClient(url);
      client.write(
        `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${'64\r\n'.concat('x'.repeat(100), '\r\n').repeat(11)}`,
      );
      expect(statuses(await client.closed())).toEqual([413]);
      await until('the app is rid of it', () => app.open.size <= 1);
    },
  ],
  'header limits': [
    '431 for headers that are too large, and for too many of them, before the app hears of it',
    async (rig) => {
      const { app, url } = await rig.start(undefined, { limits: { maxHeaderBytes: 4_096, maxHeaders: 20 } });
      expect((await ask(url, '/', { headers: { 'X-Large': 'x'.repeat(5_000) } })).status).toBe(431);
      const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`X-${n}`, '1']));
      expect((await ask(url, '/', { headers: many })).status).toBe(431);
      expect(app.received()).toBe('');
      expect((await ask(url, '/', { headers: { 'X-Large': 'x'.repeat(3_000) } })).status).toBe(200);
    },
  ],
  'WebSocket upgrades': [
    'are refused by name, 501; an upgrade to h2c is ignored and not passed on',
    async (rig) => {
      const { app, url } = await rig.start();
      const key = { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13' };
      const refused = await ask(url, '/', { headers: { Connection: 'Upgrade', Upgrade: 'websocket', ...key } });
      expect(refused.status).toBe(501);
      expect(JSON.parse(refused.body).detail).toMatch(/WebSocket/);
      expect(app.requests).toEqual([]);
      const ignored = await ask(url, '/', {
        headers: { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' },
      });
      expect(ignored.status).toBe(200);
      expect(app.received()).not.toMatch(/h2c|HTTP2-Settings/i);
    },
  ],
  'rate limit before the proxy': [
    '429 with Retry-After and the RateLimit fields, and the app is not asked; each answer says what is left',
    async (rig) => {
      const limit = { ...WINDOW, max: 2, prefix: rig.prefix() };
      const { app, url, sidecar } = await rig.start(undefined, { redisUrl: rig.redisUrl, limit });
      const first = await ask(url);
      expect(first.headers['ratelimit-policy']).toMatch(/^"[^"]+"; q=2; w=60\b/);
      expect(first.headers.ratelimit).toMatch(/^"[^"]+"; r=1; t=(60|59)$/);
      expect((await ask(url)).headers.ratelimit).toMatch(/; r=0;/);
      const refused = await ask(url, '/', { method: 'POST', body: 'x' });
      expect(refused.status).toBe(429);
      expect(refused.headers.ratelimit).toMatch(/; r=0;/);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
      expect(refused.headers['content-type']).toBe('application/problem+json');
      expect(app.requests).toHaveLength(2);
      await until('it is counted', async () =>
        /sidecar_limited_total 1\b/.test((await ask(sidecar.adminUrl, '/metrics')).body),
      );
    },
  ],
  'a new window': [
    'when the window is over a client may go on',
    async (rig) => {
      const limit = { windowMs: 2_000, max: 1, prefix: rig.prefix() };
      const { url } = await rig.start(undefined, { redisUrl: rig.redisUrl, limit });
      expect([(await ask(url)).status, (await ask(url)).status]).toEqual([200, 429]);
      await until('a new window', async () => (await ask(url)).status === 200);
    },
  ],
  'one limit for two sidecars': [
    'they count together: of 30 requests that come at once over both, exactly 10 pass',
    async (rig) => {
      const options = { redisUrl: rig.redisUrl, limit: { ...WINDOW, max: 10, prefix: rig.prefix() } };
      const { app, url } = await rig.start(undefined, options);
      const { url: other } = await rig.startBefore(app.upstream, options);
      // Each sidecar gets 15 in one packet, so that they also wait together.
      const both = await Promise.all(
        [url, other].map(async (each) => {
          const client = rig.use(await rawClient(each));
          client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(15));
          await until('15 answers', () => statuses(client.received()).length === 15);
          return statuses(client.received());
        }),
      );
      expect(both.flat().filter((status) => status === 200)).toHaveLength(10);
      expect(both.flat().filter((status) => status === 429)).toHaveLength(20);
      for (const answers of both) expect(answers).toEqual(answers.toSorted((a, b) => a - b)); // who came first passes
      expect(app.requests).toHaveLength(10);
    },
  ],
  'Redis away, counting alone': [
    'each sidecar counts for itself, says so once, and counts together again when Redis is back',
    async (rig) => {
      const redis = rig.use(await startFaultProxy(rig.redisUrl));
      const limit = { ...WINDOW, max: 2, prefix: rig.prefix(), whenRedisIsAway: 'local' as const };
      const { url, sidecar, messages } = await rig.start(undefined, { redisUrl: redis.url, limit });
      expect((await ask(url)).headers.ratelimit).toMatch(/r=1;/);
      redis.refuse();
      redis.cut();
      const answers = [];
      for (let n = 0; n < 4; n++) answers.push((await ask(url)).status);
      expect(answers.filter((status) => status === 200)).toHaveLength(2);
      expect(messages().match(/Redis is away/g)).toHaveLength(1);
      expect((await ask(sidecar.adminUrl, '/metrics')).body).toMatch(/sidecar_limiter_alone_total [34]\b/);
      redis.accept();
      await until('they count together', async () => {
        await ask(url);
        return /Redis is back/.test(messages());
      });
    },
  ],
  'Redis away, open': [
    'or nobody is counted: every request passes, which is said once',
    async (rig) => {
      const redis = rig.use(await startFaultProxy(rig.redisUrl));
      const limit = { ...WINDOW, max: 1, prefix: rig.prefix(), whenRedisIsAway: 'open' as const };
      const { url, messages } = await rig.start(undefined, { redisUrl: redis.url, limit });
      expect([(await ask(url)).status, (await ask(url)).status]).toEqual([200, 429]);
      redis.refuse();
      redis.cut();
      const answers = await Promise.all([1, 2, 3, 4].map(() => ask(url)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      expect(messages().match(/Redis is away/g)).toHaveLength(1);
    },
  ],
  'Redis silent': [
    'a Redis that takes the question and does not answer holds a request up for a second, and not for ever',
    async (rig) => {
      const redis = rig.use(await startFaultProxy(rig.redisUrl));
      const { url } = await rig.start(undefined, { redisUrl: redis.url, limit: { ...WINDOW, prefix: rig.prefix() } });
      await ask(url);
      redis.stall();
      const startedAt = performance.now();
      expect((await ask(url)).status).toBe(200);
      expect(performance.now() - startedAt).toBeLessThan(5_000);
    },
  ],
  'token check': [
    '401 without a valid token, 403 without its scope; the app gets the subject, and neither the token nor a forged subject',
    async (rig) => {
      const secret = 'a secret of thirty-two characters';
      const tokens = {
        algorithm: 'HS256' as const,
        key: createSecretKey(Buffer.from(secret)),
        issuer: 'us',
        audience: 'shop',
        publicPaths: ['/open'],
        scopes: { 'POST /orders': 'orders:write' },
      };
      const { app, url } = await rig.start(undefined, { tokens });
      const claims = { issuer: 'us', audience: 'shop', subject: 'ada', expiresIn: 60 };
      const valid = jwt.sign({ scope: 'menu:read' }, secret, claims);
      const [header, payload] = valid.split('.');
      const none = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${payload}.`;
      const refused = {
        none,
        'of another key': jwt.sign({}, 'another secret of thirty-two char', claims),
        'of another algorithm': jwt.sign({}, secret, { ...claims, algorithm: 'HS512' }),
        expired: jwt.sign({}, secret, { ...claims, expiresIn: -1 }),
        'for somebody else': jwt.sign({}, secret, { ...claims, audience: 'bank' }),
        'that does not expire': jwt.sign({ sub: 'ada', iss: 'us', aud: 'shop' }, secret),
        'tampered with': `${header}.${Buffer.from('{"sub":"root"}').toString('base64url')}.${valid.split('.')[2]}`,
        'no token': 'nonsense',
      };
      for (const [name, token] of Object.entries(refused)) {
        const { status, headers } = await ask(url, '/menu', { headers: { Authorization: `Bearer ${token}` } });
        expect(status, name).toBe(401);
        expect(headers['www-authenticate'], name).toMatch(/^Bearer .*error="invalid_token"/);
      }
      expect((await ask(url, '/menu')).headers['www-authenticate']).not.toContain('error');
      for (const path of ['/open/../menu', '/open%2f', '//open', '/OPEN', '/open/'])
        expect((await ask(url, path)).status, path).toBe(401);
      const Authorization = `Bearer ${valid}`;
      expect((await ask(url, '/orders', { method: 'POST', headers: { Authorization } })).status).toBe(403);
      expect(app.requests).toEqual([]);
      expect((await ask(url, '/open?x=1')).status).toBe(200);
      expect((await ask(url, '/menu', { headers: { Authorization, 'X-Authenticated-Subject': 'root' } })).status).toBe(
        200,
      );
      expect(app.head().fields.get('x-authenticated-subject')).toBe('ada');
      expect(app.head().fields.has('authorization')).toBe(false);
      await ask(url, '/open', { headers: { 'X-Authenticated-Subject': 'root' } });
      expect(app.head().fields.has('x-authenticated-subject')).toBe(false);
    },
  ],
  'response cache': [
    'what the app calls cacheable is asked for once: Age, Vary as part of the key, 304 for who has it, gone after a change',
    async (rig) => {
      let version = 1;
      const { app, url } = await rig.start((request, response) => {
        const language = request.headers['accept-language'] ?? 'en';
        sendJson(response, `${language} v${version}`, {
          'Cache-Control': 'max-age=60',
          Vary: 'Accept-Language',
          ETag: `"${version}"`,
        });
      });
      const english = await ask(url, '/menu');
      const again = await ask(url, '/menu');
      expect(again).toMatchObject({ status: 200, body: english.body });
      expect(again.headers.age).toBe('0');
      expect(app.requests).toHaveLength(1);
      expect((await ask(url, '/menu', { headers: { 'Accept-Language': 'fr' } })).body).toContain('fr v1');
      expect((await ask(url, '/menu', { headers: { 'Accept-Language': 'fr' } })).body).toContain('fr v1');
      expect((await ask(url, '/menu')).body).toContain('en v1');
      expect(app.requests).toHaveLength(2);
      const known = await ask(url, '/menu', { headers: { 'If-None-Match': '"1"' } });
      expect(known).toMatchObject({ status: 304, body: '' });
      expect((await ask(url, '/menu?page=2')).headers).not.toHaveProperty('age');
      await ask(url, '/menu', { headers: { 'Cache-Control': 'no-cache' } });
      expect(app.requests).toHaveLength(4);
      version = 2;
      await ask(url, '/menu', { method: 'POST' });
      expect((await ask(url, '/menu')).body).toContain('en v2');
    },
  ],
  'what is not stored': [
    'no-store, private, Set-Cookie, Vary: *, no lifetime, an error, a request with Authorization or Cookie: the app is asked again',
    async (rig) => {
      const { url } = await rig.start((request, response) => {
        const { searchParams } = new URL(request.url!, 'http://x');
        const extra = searchParams.get('cookie') ? { 'Set-Cookie': 'a=1' } : {};
        response.statusCode = Number(searchParams.get('status') ?? 200);
        response
          .setHeader('Cache-Control', searchParams.get('cc') ?? 'max-age=60')
          .setHeaders(new Map(Object.entries({ Vary: searchParams.get('vary') ?? 'Accept', ...extra })))
          .end('x');
      });
      const hits = async (path: string, headers = {}) => {
        await ask(url, path, { headers });
        return (await ask(url, path, { headers })).headers.age !== undefined;
      };
      expect(await hits('/?stored')).toBe(true);
      for (const path of [
        'cc=no-store',
        'cc=private,max-age=60',
        'cc=public',
        'cc=no-cache,max-age=60',
        'cookie=1',
        'vary=*',
        'status=500',
      ])
        expect(await hits(`/?${path}`), path).toBe(false);
      for (const name of ['Authorization', 'Cookie']) expect(await hits('/?a', { [name]: 'x' }), name).toBe(false);
      expect(await hits('/?cc=public,max-age=60', { Authorization: 'x' })).toBe(true);
    },
  ],
  trace: [
    'a valid traceparent goes on with a span of this hop; anything else begins a new trace [W3C Trace Context §3]',
    async (rig) => {
      const { app, url, accessLog } = await rig.start();
      const [id, span] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
      const traced = async (traceparent: string | string[], tracestate?: string | string[]) => {
        await ask(url, '/', { headers: { traceparent, ...(tracestate && { tracestate }) } });
        const { fields, lines } = app.head();
        expect(lines.filter((line) => /^traceparent:/i.test(line))).toHaveLength(1);
        const [, trace, own, flags] =
          /^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])$/.exec(fields.get('traceparent') ?? '') ?? [];
        expect(own).not.toBe(span);
        return { trace, flags, state: fields.get('tracestate') };
      };
      expect(await traced(`00-${id}-${span}-01`, 'a=1,b=2')).toEqual({ trace: id, flags: '01', state: 'a=1,b=2' });
      expect(await traced(`00-${id}-${span}-00`)).toEqual({ trace: id, flags: '00', state: undefined });
      expect((await traced(`01-${id}-${span}-01-later`)).trace).toBe(id);
      expect((await traced(`00-${id}-${span}-03`)).flags).toBe('01');
      for (const malformed of [
        `ff-${id}-${span}-01`,
        `00-${'0'.repeat(32)}-${span}-01`,
        `00-${id}-${'0'.repeat(16)}-01`,
        `00-${id}-${span}`,
        `00-${id.toUpperCase()}-${span}-01`,
        `00-${id}-${span}-01-x`,
        `00-${id.slice(1)}-${span}-01`,
        `0-${id}-${span}-01`,
        `00-${id}-${span}-1`,
        `00_${id}_${span}_01`,
        `00-${id}-${span}-0g`,
        'x',
        `00-${id.slice(1)}g-${span}-01`,
      ]) {
        const { trace, state } = await traced(malformed, 'a=1');
        expect(trace, malformed).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
        expect(trace, malformed).not.toBe(id);
        expect(state, malformed).toBeUndefined();
      }
      expect((await traced([`00-${id}-${span}-01`, `00-${id}-${span}-01`])).trace).not.toBe(id);
      await until('it is in the log', () => accessLog()[0]?.traceId === id);
    },
  ],
};
