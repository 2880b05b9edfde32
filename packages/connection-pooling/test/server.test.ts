import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { startServer } from '../server.ts';
import { openBank, quiet, withServer } from './bank.ts';

/** A connection of its own for each: `fetch` keeps them open, and a test waits for the last to close. */
const ask = (url: string, path: string, { headers, ...init }: Init = {}) =>
  fetch(url + path, { ...init, headers: { Connection: 'close', ...headers } });
type Init = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> };
const post = (url: string, body: unknown, type = 'application/json') =>
  ask(url, '/transfers', { method: 'POST', headers: { 'Content-Type': type }, body: JSON.stringify(body) });
const problem = async (response: Response) => ({
  type: response.headers.get('Content-Type'),
  ...((await response.json()) as { status: number }),
});

requirePostgres()('the bank’s server', () => {
  test('lists the users', async () => {
    await using use = await withServer();
    const response = await ask(use.url, '/users');
    const { users } = (await response.json()) as { users: unknown[] };
    expect(users).toHaveLength(50);
    expect(users[0]).toEqual({ id: 1, name: 'User 1', balance: 10_000 });
  });

  test('moves money, and keeps a record of it', async () => {
    await using use = await withServer();
    const response = await post(use.url, { from: 1, to: 2, amount: 500 });
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ id: '1', from: 1, to: 2, amount: 500 });
    expect(await use.bank.query('select balance from pooling.users where id <= 2 order by id')).toEqual([
      { balance: 9_500 },
      { balance: 10_500 },
    ]);
    expect(await use.bank.query('select * from pooling.transfers')).toEqual([
      { id: '1', from_id: 1, to_id: 2, amount: 500 },
    ]);
  });

  test.for([
    [undefined, ['/from', '/to', '/amount']],
    [{ from: 1, to: 1, amount: 5 }, ['/to']],
    [{ from: 1, to: 2, amount: 0 }, ['/amount']],
    [{ from: 1, to: 2, amount: 0.5 }, ['/amount']],
    [{ from: '1', to: 2 ** 31, amount: 5 }, ['/from', '/to']],
  ] as const)('answers %j with 400 that names %j', async ([body, fields]) => {
    await using use = await withServer();
    const answer = await problem(await post(use.url, body ?? {}));
    expect(answer).toMatchObject({ type: 'application/problem+json', status: 400 });
    expect((answer as unknown as { errors: { field: string }[] }).errors.map(({ field }) => field)).toEqual(fields);
  });

  test.for([
    ['not JSON', 415, { method: 'POST', body: 'a=1' }],
    ['malformed JSON', 400, { method: 'POST', body: '{', headers: { 'Content-Type': 'application/json' } }],
    ['another method', 405, { method: 'PUT' }],
  ] as const)('answers %s with %i', async ([, status, init]) => {
    await using use = await withServer();
    const response = await ask(use.url, '/transfers', init);
    expect(response.headers.get('Allow')).toBe(status === 405 ? 'POST' : null);
    expect(await problem(response)).toMatchObject({ type: 'application/problem+json', status });
  });

  test('refuses a transfer from or to nobody with 422', async () => {
    await using use = await withServer();
    expect(await problem(await post(use.url, { from: 1, to: 99, amount: 5 }))).toMatchObject({
      status: 422,
      errors: [{ field: '/to' }],
    });
  });

  test('refuses what the balance does not cover with 409, moves nothing, and keeps no client', async () => {
    await using use = await withServer({ size: 1 });
    for (let n = 0; n < 3; n++) expect((await post(use.url, { from: 1, to: 2, amount: 10_001 })).status).toBe(409);
    expect(await use.bank.query('select sum(balance)::integer as sum, min(balance) as min from pooling.users')).toEqual(
      [{ sum: 500_000, min: 10_000 }],
    );
    expect(use.server.database.counts).toEqual({ total: 1, idle: 1, waiting: 0 });
  });

  test('opposite transfers at the same time neither deadlock nor lose money', async () => {
    await using use = await withServer({
      size: 10,
      acquireTimeoutMs: 10_000,
      lockTimeoutMs: 10_000,
      statementTimeoutMs: 10_000,
    });
    const transfers = Array.from({ length: 100 }, (_, n) => ({ from: 1 + (n % 2), to: 2 - (n % 2), amount: 150 }));
    const responses = await Promise.all(transfers.map((transfer) => post(use.url, transfer)));
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([201]));
    expect(await use.bank.query('select balance from pooling.users where id <= 2')).toEqual([
      { balance: 10_000 },
      { balance: 10_000 },
    ]);
  });

  test('answers 503 with Retry-After when no connection is free in time', async () => {
    await using use = await withServer({ size: 1, acquireTimeoutMs: 1_000, lockTimeoutMs: 0 });
    await using lock = await use.bank.lockUsers();
    const first = ask(use.url, '/users');
    await until('the only client waits for the lock', use.bank.waitingForLock);
    const second = await ask(use.url, '/users');
    expect(second.headers.get('Retry-After')).toBe('1');
    expect(await problem(second)).toMatchObject({ status: 503, detail: expect.stringContaining('nothing was done') });
    await lock[Symbol.asyncDispose]();
    expect((await first).status).toBe(200);
  });

  test('answers 503 with Retry-After when a lock is not to be had in time', async () => {
    await using use = await withServer({ lockTimeoutMs: 50 });
    await using _lock = await use.bank.lockUsers();
    const response = await post(use.url, { from: 1, to: 2, amount: 5 });
    expect(response.headers.get('Retry-After')).toBe('1');
    expect(await problem(response)).toMatchObject({ status: 503, detail: expect.stringContaining('a lock') });
  });

  test('answers 500, and not 503, when nobody knows whether a transfer was committed', async () => {
    await using bank = await openBank();
    await using proxy = await startFaultProxy(bank.url);
    await using use = await withServer({ databaseUrl: proxy.url });
    await using lock = await bank.lockUsers();
    const transfer = post(use.url, { from: 1, to: 2, amount: 5 });
    await until('the transfer waits for the lock', bank.waitingForLock);
    proxy.cut();
    expect(await problem(await transfer)).toEqual({
      type: 'application/problem+json',
      title: 'Internal Server Error',
      status: 500,
    });
    await lock[Symbol.asyncDispose]();
    expect((await ask(use.url, '/users')).status).toBe(200);
  });

  test('is ready when the database has answered, and stays ready when all clients are in use', async () => {
    await using bank = await openBank();
    await using proxy = await startFaultProxy(bank.url);
    proxy.refuse();
    await using use = await withServer({ databaseUrl: proxy.url, size: 2, lockTimeoutMs: 0 });
    expect((await ask(use.url, '/readyz')).status).toBe(503);
    proxy.accept();
    expect((await ask(use.url, '/readyz')).status).toBe(200);
    expect(await bank.backends()).toHaveLength(2);

    await using lock = await bank.lockUsers();
    const busy = [ask(use.url, '/users'), ask(use.url, '/users')];
    await until('both clients wait for the lock', async () => (await bank.waitingForLock()) === 2);
    expect((await ask(use.url, '/readyz')).status).toBe(200);
    await lock[Symbol.asyncDispose]();
    await Promise.all(busy);
  });

  test('shows the pool at /metrics', async () => {
    await using use = await withServer({ size: 2, acquireTimeoutMs: 1_000, lockTimeoutMs: 0 });
    await ask(use.url, '/readyz');
    await use.bank.endBackends();
    await until('the pool has noticed', () => use.server.database.counts.total === 0);
    await using lock = await use.bank.lockUsers();
    const busy = [ask(use.url, '/users'), ask(use.url, '/users')];
    await until('both clients wait for the lock', async () => (await use.bank.waitingForLock()) === 2);
    expect((await ask(use.url, '/users')).status).toBe(503);
    const metrics = await (await ask(use.url, '/metrics')).text();
    for (const line of [
      'pool_size 2',
      'pool_clients 2',
      'pool_idle 0',
      'pool_waiting 0',
      'pool_acquire_seconds_count 4',
      'pool_acquire_failures_total{code="exhausted"} 1',
      'pool_idle_errors_total 2',
      'pool_long_checkouts_total 0',
    ]) {
      expect(metrics.split('\n')).toContain(line);
    }
    await lock[Symbol.asyncDispose]();
    await Promise.all(busy);
  });

  test('leaves nothing behind', async () => {
    await using bank = await openBank();
    await using _leaks = noLeaks();
    await using server = await startServer({ databaseUrl: bank.url, log: quiet });
    await Promise.all(
      [ask(server.url, '/readyz'), ask(server.url, '/users'), post(server.url, { from: 1, to: 2, amount: 5 })].map(
        async (response) => (await response).text(),
      ),
    );
  });
});
