/** What the contract cannot see from outside: states between two requests, edges of the rules, and how a sidecar is configured. */
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createLog } from '@patterns/kit/log';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import jwt from 'jsonwebtoken';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { Breaker } from '../breaker.ts';
import { fieldsOf, lifetimeSeconds, varyOf } from '../cacheable.ts';
import { optionsFromEnv } from '../environment.ts';
import { createMetrics } from '../metrics.ts';
import { limitKey } from '../rate-limit.ts';
import { RetryBudget } from '../retry.ts';
import { SharedCounters } from '../shared-counters.ts';
import { type SidecarOptions, startSidecar } from '../sidecar.ts';
import { parseUpstream } from '../target.ts';
import { tokenKey } from '../token-check.ts';
import { sendJson, startApp } from './contract-app.ts';
import { ask, rawClient } from './contract-client.ts';

/** A sidecar in front of an app that answers everything with `headers` and the number of the request. */
async function startCounting(
  stack: AsyncDisposableStack,
  options: Partial<SidecarOptions>,
  headers: Record<string, string> = {},
) {
  let n = 0;
  const app = stack.use(await startApp((_request, response) => sendJson(response, ++n, headers)));
  const sidecar = await startSidecar({ upstream: app.upstream, engine: 'undici', accessLog: false, ...options });
  return { app, url: stack.use(sidecar).url };
}

describe('breaker', () => {
  const options = { maxFailures: 2, openMs: 5_000 };
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  test('a probe whose client leaves makes room for the next one', () => {
    const breaker = new Breaker(options);
    for (let n = 0; n < 2; n++) breaker.enter()!.failed();
    expect(breaker.enter()).toBeUndefined();
    vi.advanceTimersByTime(options.openMs);
    const probe = breaker.enter()!;
    expect(breaker.enter()).toBeUndefined(); // one at a time
    probe.abandoned();
    expect(breaker.state).toBe('half-open');
    breaker.enter()!.answered();
    expect(breaker.state).toBe('closed');
  });

  test('what was asked before it opened neither opens it again nor closes it', () => {
    const breaker = new Breaker(options);
    const [early, late] = [breaker.enter()!, breaker.enter()!];
    for (let n = 0; n < 2; n++) breaker.enter()!.failed();
    early.answered();
    expect(breaker.state).toBe('open');
    vi.advanceTimersByTime(options.openMs);
    const probe = breaker.enter()!;
    late.failed();
    expect(breaker.state).toBe('half-open');
    probe.answered();
    expect(breaker.state).toBe('closed');
  });

  test('only failures in a row count', () => {
    const breaker = new Breaker(options);
    for (const outcome of ['failed', 'answered', 'failed', 'answered', 'failed'] as const) breaker.enter()![outcome]();
    expect(breaker.state).toBe('closed');
  });
});

test('the retry budget refills with requests, and holds no more than its reserve', () => {
  const budget = new RetryBudget({ ratio: 0.25, reserve: 1 });
  for (let n = 0; n < 100; n++) budget.earn();
  expect([budget.spend(), budget.spend()]).toEqual([true, false]);
  for (let n = 0; n < 4; n++) budget.earn();
  expect([budget.spend(), budget.spend()]).toEqual([true, false]);
});

describe('whom a request counts for', () => {
  test('an IPv6 client has a /56 to choose addresses from, and counts once', () => {
    expect(limitKey('2001:db8:1:200::1')).toBe(limitKey('2001:db8:1:2ff:1:2:3:4'));
    expect(limitKey('2001:db8:1:200::1')).not.toBe(limitKey('2001:db8:1:300::1'));
    expect(limitKey('::ffff:192.0.2.1')).toBe(limitKey('192.0.2.1'));
    expect(limitKey('192.0.2.1')).not.toBe(limitKey('192.0.2.2'));
  });
});

requireRedis()('shared counters', () => {
  test('a Redis that comes later than the sidecar is used from then on', async () => {
    vi.stubEnv('LOG_LEVEL', 'error'); // that it is away is said, and not the matter here
    await using line = await startFaultProxy(inject('redisUrl'));
    line.refuse();
    const limit = {
      max: 9,
      windowMs: 60_000,
      whenRedisIsAway: 'local' as const,
      prefix: `${inject('redisPrefix')}late:`,
    };
    const metrics = createMetrics();
    await using counters = await SharedCounters.open(line.url, limit, createLog('test'), metrics);
    expect((await counters.increment('a')).totalHits).toBe(1);
    line.accept();
    const alone = async () => (await metrics.limiterAlone.get()).values[0]!.value;
    await until('it is counted in Redis', async () => {
      const before = await alone();
      await counters.increment('a');
      return (await alone()) === before;
    });
  });
});

describe('response cache', () => {
  test('reads a lifetime as a shared cache does, and guesses none', () => {
    const lifetime = (value: string) => lifetimeSeconds(fieldsOf(['Cache-Control', value]));
    expect(lifetime('max-age=60, s-maxage=5')).toBe(5);
    expect(lifetime('MAX-AGE="7"')).toBe(7);
    expect(lifetime('max-age=soon')).toBe(0);
    expect(lifetimeSeconds(fieldsOf(['Last-Modified', 'Mon, 01 Jan 2024 00:00:00 GMT']))).toBe(0);
    expect(varyOf(fieldsOf(['Vary', 'B', 'vary', 'a, ']))).toEqual(['a', 'b']);
  });

  test('is full at its limit, and takes nothing that is too big for it', async () => {
    await using stack = new AsyncDisposableStack();
    const headers = { 'Cache-Control': 'max-age=60', 'X-Fill': 'x'.repeat(10) };
    const { app, url } = await startCounting(stack, { cache: { maxBytes: 3_500, maxEntryBytes: 100 } }, headers);
    for (const path of ['/1', '/2', '/3', '/4']) await ask(url, path); // a kilobyte each, for their headers
    expect((await ask(url, '/4')).headers.age).toBe('0');
    expect((await ask(url, '/1')).headers.age).toBeUndefined();
    expect(app.requests).toHaveLength(5);
  });

  test('what was old when it came is sooner too old, and what is too old is asked for again', async () => {
    await using stack = new AsyncDisposableStack();
    const { url } = await startCounting(stack, {}, { 'Cache-Control': 'max-age=61', Age: '60' });
    const first = await ask(url);
    const hit = await ask(url);
    expect(hit).toMatchObject({ body: first.body, headers: { age: '60' } });
    expect(hit.headers['cache-status']).toBe('sidecar; hit; ttl=1');
    await delay(1_050);
    expect((await ask(url)).body).not.toBe(first.body);
  });
});

test('a token signed with the public key as its secret is refused where ES256 is pinned', async () => {
  await using stack = new AsyncDisposableStack();
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const tokens = { algorithm: 'ES256' as const, key: tokenKey('ES256', pem), issuer: 'us', audience: 'shop' };
  const { url } = await startCounting(stack, { tokens });
  const status = async (token: string) =>
    (await ask(url, '/', { headers: { Authorization: `Bearer ${token}` } })).status;
  const claims = { issuer: 'us', audience: 'shop', subject: 'ada', expiresIn: 60 };
  expect(await status(jwt.sign({}, privateKey, { ...claims, algorithm: 'ES256' }))).toBe(200);
  // jsonwebtoken refuses to make it; an attacker does not use jsonwebtoken.
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1_000);
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'ada', iss: 'us', aud: 'shop', exp: now + 60 })}`;
  expect(await status(`${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`)).toBe(401);
});

test.each(['express', 'undici'] as const)(
  'a body that came in one piece with its head is passed on whole, on %s',
  async (engine) => {
    await using stack = new AsyncDisposableStack();
    const { app, url } = await startCounting(stack, { engine, limit: false, cache: false }); // no power that waits
    using client = await rawClient(url);
    client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello');
    await until('the body', () => app.received().endsWith('\r\n\r\nhello'));
  },
);

describe('configuration', () => {
  afterEach(() => void vi.unstubAllEnvs());

  test('an app that others could reach past the sidecar is refused', () => {
    expect(parseUpstream('unix:/run/app.sock')).toEqual({ socketPath: '/run/app.sock' });
    expect(parseUpstream('http://localhost:3000')).toEqual({ host: '127.0.0.1', port: 3000 });
    for (const other of [
      'http://192.0.2.1:3000',
      'https://127.0.0.1',
      'http://127.0.0.1/path',
      'unix:',
      'app:3000',
      '',
    ])
      expect(() => parseUpstream(other), other).toThrow(/the app's address is/);
  });

  test('what makes no sense is said before anything listens', () => {
    expect(() => optionsFromEnv(['--engine', 'nginx'])).toThrow(/no engine nginx/);
    vi.stubEnv('POWERS', 'log,lmit');
    expect(() => optionsFromEnv([])).toThrow(/there is no lmit/);
    vi.stubEnv('POWERS', 'limit');
    vi.stubEnv('WHEN_REDIS_IS_AWAY', 'opne');
    expect(() => optionsFromEnv([])).toThrow(/expected local or open/);
    vi.stubEnv('POWERS', 'tokens');
    expect(() => optionsFromEnv([])).toThrow(/TOKEN_KEY/);
    for (const [name, value] of Object.entries({ ALGORITHM: 'HS256', KEY: 'short', ISSUER: 'us', AUDIENCE: 'shop' }))
      vi.stubEnv(`TOKEN_${name}`, value);
    expect(() => optionsFromEnv([])).toThrow(/less than 32 bytes/);
  });

  test('a power that is not named is not there', () => {
    vi.stubEnv('POWERS', 'log');
    expect(optionsFromEnv([])).toMatchObject({ engine: 'express', limit: false, cache: false, tokens: false });
    vi.unstubAllEnvs();
    expect(optionsFromEnv(['--engine', 'undici'])).toMatchObject({
      engine: 'undici',
      limit: { max: 300 },
      tokens: false,
    });
  });
});
