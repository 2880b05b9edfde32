import { until } from '@patterns/kit/testing/until';
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { startConsumer } from '../consumer.ts';
import { startDispatcher } from '../dispatcher.ts';
import { ENDPOINTS, PAYMENTS, type PaymentEvent, WEBHOOKS } from '../protocol.ts';
import { startProvider } from '../provider.ts';
import { createProvider } from '../provider-database.ts';
import { reconcile } from '../reconcile.ts';
import { openKeyRing, register, rotate, unregister } from '../registration.ts';
import { openShopDatabase, openTestShop, quiet, type ShopDatabase } from './shop.ts';

requirePostgres()('the shop and its provider', () => {
  const stack = new AsyncDisposableStack();
  let databaseUrl: string;
  let provider: string;
  let shop: ShopDatabase;
  beforeAll(async () => {
    databaseUrl = stack.use(await createDatabase(inject('databaseUrl'), 'provider')).url;
    await createProvider(databaseUrl);
    provider = stack.use(await startProvider({ databaseUrl, log: quiet, allow: ['127.0.0.1'] })).url;
    shop = stack.use(await openShopDatabase());
  });
  afterAll(() => stack.disposeAsync());

  const call = async (path: string, body?: object) => {
    const init = body && {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    };
    return (await (await fetch(provider + path, init)).json()) as Record<string, string>;
  };
  const pay = (amount = 4_200) => call(PAYMENTS, { amount });

  test('reconciliation finds what never came, each once, and goes on from there', async () => {
    for (let i = 0; i < 3; i++) await pay();
    await using consumer = await openTestShop({ database: shop });
    const { events } = (await call('/events')) as unknown as { events: PaymentEvent[] };
    expect((await consumer.send(events[1])).status).toBe(200);

    // Too young, all of them: they may be on their way.
    expect(await reconcile(shop.pool, provider)).toEqual({ seen: 0, missed: 0 });
    expect(await reconcile(shop.pool, provider, { settleMs: 0 })).toEqual({ seen: 3, missed: 2 });
    await pay();
    expect(await reconcile(shop.pool, provider, { settleMs: 0 })).toEqual({ seen: 1, missed: 1 });
    expect(await reconcile(shop.pool, provider, { settleMs: 0 })).toEqual({ seen: 0, missed: 0 });

    expect((await consumer.send(events[0])).status).toBe(200); // it comes after all
    await consumer.settled();
    expect(await consumer.booked()).toBe(4);
  });

  test('what it could not write down, it fetches again', async () => {
    await using other = await openShopDatabase();
    const { events } = (await call('/events')) as unknown as { events: PaymentEvent[] };
    await other.pool.query(`alter table shop.inbox add constraint no_room check (id <> '${events.at(-1)?.id}')`);
    await expect(reconcile(other.pool, provider, { settleMs: 0 })).rejects.toThrow('no_room');
    await expect(reconcile(other.pool, 'http://127.0.0.1:1', { settleMs: 0 })).rejects.toThrow();
    await other.pool.query('alter table shop.inbox drop constraint no_room');
    expect(await reconcile(other.pool, provider, { settleMs: 0 })).toEqual({
      seen: events.length,
      missed: events.length,
    });
  });

  test('a secret exchanged under load: no verification fails, on a process that learns of it late either', async () => {
    await using stack = new AsyncDisposableStack();
    const { url, pool } = stack.use(await openShopDatabase());
    stack.use(startDispatcher({ databaseUrl, log: quiet, allow: ['127.0.0.1'], timeFactor: 0.001 }));
    const keys = stack.use(await openKeyRing(pool, quiet, 3_600_000)); // learns nothing by itself
    const consumer = stack.use(await startConsumer({ databaseUrl: url, secrets: keys.current, log: quiet }));
    const endpoint = await register(pool, provider, consumer.url + WEBHOOKS);
    expect(await register(pool, provider, consumer.url + WEBHOOKS)).toBe(endpoint);
    await keys.refresh();

    const made: string[] = [];
    const make = async () => made.push((await pay()).payment ?? '');
    const isBooked = async () => {
      const count = 'select count(*)::int as count from shop.ledger where payment = any($1)'; // and not what was before us
      return (await pool.query<{ count: number }>(count, [made])).rows[0]?.count === made.length;
    };
    const load = Promise.all(Array.from({ length: 60 }, make));
    await until('some are made', () => made.length > 10);
    await rotate(pool, provider);
    await load;
    for (let i = 0; i < 20; i++) await make(); // signed with both secrets
    await until('all are booked', isBooked);
    expect(keys.current().length).toBe(1);
    await keys.refresh();
    expect(keys.current().length).toBe(2);
    // The overlap is over here: the provider still signs with both.
    await pool.query('update shop.secrets set expires_at = now() where expires_at is not null');
    await keys.refresh();
    expect(keys.current().length).toBe(1);
    await make();
    await until('the last one is booked', isBooked);
    expect(await call(`${ENDPOINTS}/${endpoint}`)).toMatchObject({ failed: 0 });

    await unregister(pool, provider);
    expect((await call(ENDPOINTS)).endpoints).toEqual([]);
  });
});
