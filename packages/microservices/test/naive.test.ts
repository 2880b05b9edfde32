import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { NAIVE_SCHEMA, startNaive } from '../naive.ts';

// What becomes of it when something is killed, is slow or is away, the demo shows.
requirePostgres()('the textbook version', () => {
  test('takes whatever price the customer names, from whoever calls', async () => {
    await using database = await createDatabase(inject('databaseUrl'), 'naive');
    const pool = new pg.Pool({ connectionString: database.url });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => pool.end());
    await pool.query(NAIVE_SCHEMA);
    const notification = stack.use(await startNaive('notification', { pool }));
    const payment = stack.use(await startNaive('payment', { pool, nextUrl: notification.url }));
    const order = stack.use(await startNaive('order', { pool, nextUrl: payment.url }));
    const ask = (url: string, body: object) => {
      const headers = { 'Content-Type': 'application/json', Connection: 'close' };
      return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    };
    expect((await ask(`${order.url}/orders`, { customer: 'Mallory', total: 1 })).status).toBe(200);
    expect((await ask(`${payment.url}/charges`, { order: 'of nobody', amount: 100_000 })).status).toBe(200);
    const { rows } = await pool.query('select amount from naive.charges order by amount');
    expect(rows).toEqual([{ amount: 1 }, { amount: 100_000 }]);
  });
});
