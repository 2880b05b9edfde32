import { randomUUID } from 'node:crypto';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { startServer } from '../server.ts';
import { PIZZA, post, startRestaurant, startServerProcess } from './restaurant.ts';

requirePostgres()('an Idempotency-Key', () => {
  test('must be there: 400 without one, or with one that is malformed', async () => {
    await using restaurant = await startRestaurant();
    for (const key of ['', '""', '"a" "b"', 'two words', 'x'.repeat(129)]) {
      const response = await post(restaurant.url, PIZZA, { headers: { 'Idempotency-Key': key } });
      expect(response.status, key).toBe(400);
      expect(await response.json()).toMatchObject({ errors: [{ field: 'Idempotency-Key' }] });
    }
    expect(await restaurant.orders()).toBe(0);
  });

  test('sent again gets the stored answer, from any server: status, Location and body', async () => {
    await using restaurant = await startRestaurant();
    await using other = await startServer(restaurant);
    const key = randomUUID();
    const first = await post(restaurant.url, PIZZA, { key });
    const again = await post(other.url, JSON.stringify(PIZZA, null, 2), { key }); // white space is not the payload
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.headers.get('Location')).toBe(first.headers.get('Location'));
    expect(await again.text()).toBe(await first.text());
    expect([first, again].map(({ headers }) => headers.get('Idempotent-Replayed'))).toEqual([null, 'true']);
    expect(await restaurant.orders()).toBe(1);
  });

  test('is the same key in quotes and bare', async () => {
    await using restaurant = await startRestaurant();
    await post(restaurant.url, PIZZA, { key: 'a-1' });
    const bare = await post(restaurant.url, PIZZA, { headers: { 'Idempotency-Key': 'a-1' } });
    expect(bare.headers.get('Idempotent-Replayed')).toBe('true');
  });

  test('with another body is 422', async () => {
    await using restaurant = await startRestaurant();
    const key = randomUUID();
    await post(restaurant.url, PIZZA, { key });
    expect((await post(restaurant.url, { ...PIZZA, table: 8 }, { key })).status).toBe(422);
    expect(await restaurant.orders()).toBe(1);
  });

  test('in progress is 409 with Retry-After, on any server', async () => {
    await using restaurant = await startRestaurant({ kitchenMs: 60_000, statementMs: 0, graceMs: 0 });
    await using other = await startServer(restaurant);
    const key = randomUUID();
    const leaving = new AbortController();
    const first = post(restaurant.url, PIZZA, { key, signal: leaving.signal }).catch(() => {});
    await until('the first is in the kitchen', restaurant.cooking);
    const second = await post(other.url, PIZZA, { key });
    expect([second.status, second.headers.get('Retry-After')]).toEqual([409, '1']);
    leaving.abort();
    await first;
  });

  test('of twenty requests at once cooks once', async () => {
    await using restaurant = await startRestaurant({ maxConcurrent: 20 });
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(restaurant.url, PIZZA, { key })));
    // 503: a machine that is too busy to open twenty connections to its database in time. Nothing was done then.
    expect([201, 409, 503]).toEqual(expect.arrayContaining(answers.map(({ status }) => status)));
    expect(answers.filter(({ status, headers }) => status === 201 && !headers.get('Idempotent-Replayed'))).toHaveLength(
      1,
    );
    expect(await restaurant.orders()).toBe(1);
  });

  test('of a refused order is still free', async () => {
    await using restaurant = await startRestaurant();
    const key = randomUUID();
    expect((await post(restaurant.url, { table: 1, items: [{ dish: 'stone', quantity: 1 }] }, { key })).status).toBe(
      400,
    );
    expect((await post(restaurant.url, PIZZA, { key })).status).toBe(201);
  });

  test('and its order are written together or not at all: the server is killed in between', async () => {
    await using restaurant = await startRestaurant();
    await using doomed = startServerProcess(restaurant.databaseUrl, { KITCHEN_MS: '2000' });
    const key = randomUUID();
    const lost = post(await doomed.url(), PIZZA, { key }).catch((error: unknown) => error);
    await until('the order is in the kitchen', restaurant.cooking);
    await doomed.kill('SIGKILL');
    expect(await lost).toBeInstanceOf(TypeError);
    // PostgreSQL finds out when its statement is over: until then the key counts as in progress.
    const answer = await until('the key is free again', async () => {
      const response = await post(restaurant.url, PIZZA, { key });
      return response.status !== 409 && response;
    });
    expect([answer.status, answer.headers.get('Idempotent-Replayed')]).toEqual([201, null]);
    expect([await restaurant.orders(), await restaurant.keys()]).toEqual([1, 1]);
  });

  test('is forgotten after a day', async () => {
    await using restaurant = await startRestaurant();
    for (const key of ['old', 'young']) await post(restaurant.url, PIZZA, { key });
    await restaurant.query(
      `update restaurant.idempotency_keys set created_at = now() - interval '25 hours' where key = 'old'`,
    );
    await restaurant.query(
      `update restaurant.idempotency_keys set created_at = now() - interval '23 hours' where key = 'young'`,
    );
    await using _restarted = await startServer(restaurant);
    const { rows } = await restaurant.query('select key from restaurant.idempotency_keys');
    expect(rows).toEqual([{ key: 'young' }]);
  });
});
