import { randomUUID } from 'node:crypto';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { startServer } from '../server.ts';
import { PIZZA, post, startRestaurant, startServerProcess } from './restaurant.ts';

const FOR_EVER = { kitchenMs: 60_000, statementMs: 0, graceMs: 0 };

requirePostgres()('the server', () => {
  test('places an order at the price of the menu, and finds it again', async () => {
    await using _leaks = noLeaks();
    await using restaurant = await startRestaurant();
    const placed = await post(restaurant.url, { ...PIZZA, total: 1 });
    expect(placed.status).toBe(201);
    const order = (await placed.json()) as { id: string };
    expect(order).toMatchObject({ ...PIZZA, total: 2000 });
    const found = await fetch(`${restaurant.url}${placed.headers.get('Location')}`);
    expect(await found.json()).toEqual(order);
  });

  test('refuses what is too much with 503 and Retry-After, still serves the menu, and takes orders again', async () => {
    await using restaurant = await startRestaurant({ ...FOR_EVER, maxConcurrent: 2 });
    const leaving = new AbortController();
    const cooking = [1, 2].map(() => post(restaurant.url, PIZZA, { signal: leaving.signal }).catch(() => {}));
    await until('two are in the kitchen', async () => (await restaurant.cooking()) === 2);
    const third = await post(restaurant.url);
    expect([third.status, third.headers.get('Retry-After')]).toEqual([503, '1']);
    expect((await fetch(`${restaurant.url}/menu`)).status).toBe(200);
    leaving.abort();
    await Promise.all(cooking);
    const nowhere = `${restaurant.url}/orders/${randomUUID()}`;
    await until('there is room again', async () => (await fetch(nowhere)).status === 404);
  });

  test('stops the statement in PostgreSQL when the client leaves, writes nothing, and gives up that connection', async () => {
    await using restaurant = await startRestaurant(FOR_EVER);
    const sessions = `select array_agg(pid) as pids from pg_stat_activity where datname = current_database()\n      and query like 'select pg_sleep%'`;
    const leaving = new AbortController();
    const left = post(restaurant.url, PIZZA, { signal: leaving.signal }).catch(() => 'left');
    await until('it is in the kitchen', restaurant.cooking);
    const { pids } = (await restaurant.query(sessions)).rows[0] as { pids: number[] };
    leaving.abort();
    expect(await left).toBe('left');
    await until('the kitchen has stopped', async () => (await restaurant.cooking()) === 0);
    expect([await restaurant.orders(), await restaurant.keys()]).toEqual([0, 0]);
    const its = `select from pg_stat_activity where pid in (${pids.join()})`;
    await until('its connection is closed', async () => (await restaurant.query(its)).rowCount === 0);
  });

  test('answers 503 when a statement takes longer than it may', async () => {
    await using restaurant = await startRestaurant({ kitchenMs: 60_000, statementMs: 1_000 });
    const response = await post(restaurant.url);
    expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '2']);
    expect(await restaurant.orders()).toBe(0);
  });

  test('answers 503 when the database has gone silent, and not never', async () => {
    await using restaurant = await startRestaurant();
    await using line = await startFaultProxy(restaurant.databaseUrl);
    await using server = await startServer({ databaseUrl: line.url, log: restaurant.log, statementMs: 1_000 });
    expect((await post(server.url)).status).toBe(201);
    line.stall();
    const response = await post(server.url);
    expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '2']);
    line.cut();
    line.flow();
    expect((await post(server.url)).status).toBe(201);
  });

  test('answers 503 when the database cannot be reached, to a question and to an order', async () => {
    await using restaurant = await startRestaurant();
    await using line = await startFaultProxy(restaurant.databaseUrl);
    await using server = await startServer({ databaseUrl: line.url, log: restaurant.log });
    line.refuse();
    line.cut();
    await until('its connections are gone', () => line.connections === 0);
    expect((await post(server.url)).status).toBe(503);
    expect((await fetch(`${server.url}/orders/${randomUUID()}`)).status).toBe(503);
  });

  test('outlives the loss of its database connections', async () => {
    await using restaurant = await startRestaurant({ kitchenMs: 60_000, statementMs: 0 });
    const interrupted = post(restaurant.url);
    await until('it is in the kitchen', restaurant.cooking);
    await restaurant.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    expect((await interrupted).status).toBe(500);
    expect((await fetch(`${restaurant.url}/orders/${randomUUID()}`)).status).toBe(404);
  });

  test('keeps an idle connection longer than a balancer does', async () => {
    await using restaurant = await startRestaurant();
    const { headers } = await fetch(`${restaurant.url}/menu`);
    expect(headers.get('Keep-Alive')).toBe('timeout=75');
  });

  test('on SIGTERM says that it is not ready, still answers, then finishes what is in flight and refuses the next', async () => {
    await using restaurant = await startRestaurant();
    await using server = startServerProcess(restaurant.databaseUrl, { KITCHEN_MS: '2000', NOTICE_MS: '500' });
    const url = await server.url();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const inFlight = post(url);
    await until('it is in the kitchen', restaurant.cooking);
    const exited = server.kill('SIGTERM');
    await until('it is not ready', async () => (await fetch(`${url}/readyz`)).status === 503);
    expect((await fetch(`${url}/menu`)).status).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await until('nothing new is accepted', () =>
      fetch(`${url}/readyz`).then(
        () => false,
        (error: Error) => (error.cause as { code?: string }).code === 'ECONNREFUSED',
      ),
    );
    expect(await restaurant.cooking()).toBe(1);
    expect((await inFlight).status).toBe(201);
    expect(await exited).toEqual({ code: 0, signal: null });
  });

  test('does not wait longer than its deadline for what is in flight, and stops that', async () => {
    await using _leaks = noLeaks();
    await using restaurant = await startRestaurant({ ...FOR_EVER, graceMs: 50 });
    const inFlight = post(restaurant.url).catch(() => 'cut off');
    await until('it is in the kitchen', restaurant.cooking);
    await restaurant.close();
    expect(await inFlight).toBe('cut off');
    await until('the kitchen has stopped', async () => (await restaurant.cooking()) === 0);
  });

  test('logs one line a request, with its trace, and no secret', async () => {
    await using restaurant = await startRestaurant();
    await using server = startServerProcess(restaurant.databaseUrl, { KITCHEN_MS: '60000', LOG_LEVEL: 'info' });
    const url = await server.url();
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, Authorization: 'Bearer s3cret' };
    await fetch(`${url}/menu?password=s3cret`, { headers });
    const leaving = new AbortController();
    const left = post(url, PIZZA, { signal: leaving.signal }).catch(() => {});
    await until('it is in the kitchen', restaurant.cooking);
    leaving.abort();
    await left;
    const entries = () =>
      server
        .output()
        .split('\n')
        .filter((line) => line.startsWith('{'));
    await until('both are logged', () => entries().length === 2);
    expect(entries().map((line) => JSON.parse(line))).toMatchObject([
      {
        message: 'request',
        method: 'GET',
        path: '/menu',
        status: 200,
        traceId,
        aborted: false,
        durationMs: expect.any(Number),
      },
      { message: 'request', method: 'POST', path: '/orders', aborted: true },
    ]);
    expect(server.output()).not.toContain('s3cret');
  });
});
