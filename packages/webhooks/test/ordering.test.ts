import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyByArrival, applyByTimestamp } from '../naive.ts';
import { applyVersion, findOrder } from '../orders.ts';
import { openShopDatabase, openTestShop, paymentEvent, type ShopDatabase } from './shop.ts';

const noon = '2026-11-21T12:00:00.000Z';
const second = (n: number) => new Date(Date.parse(noon) + n * 1_000).toISOString();

requirePostgres()('events that arrive in another order', () => {
  let database: ShopDatabase;
  beforeAll(async () => {
    database = await openShopDatabase();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  test('an old event that comes late changes nothing, and is booked all the same', async () => {
    await using shop = await openTestShop({ database, workers: 1 });
    const payment = 'pay_late';
    for (const version of [2, 1]) {
      await shop.send(paymentEvent({ payment, version }));
      await shop.settled();
    }
    expect(await findOrder(shop.pool, payment)).toMatchObject({ version: 2, status: 'refunded', booked: 0 });
  });

  test('ten versions applied at once: the newest stays', async () => {
    const versions = [4, 9, 1, 7, 10, 2, 8, 3, 6, 5];
    await Promise.all(
      versions.map(async (version) => {
        const client = await database.pool.connect();
        await applyVersion(client, paymentEvent({ payment: 'pay_at_once', version })).finally(() => client.release());
      }),
    );
    expect(await findOrder(database.pool, 'pay_at_once')).toMatchObject({ version: 10 });
  });

  const changes = {
    'a tie: both in the same millisecond': [noon, noon],
    'clock skew: the second server is a second behind': [second(1), second(0)],
  };
  for (const [name, [paidAt = '', refundedAt = '']] of Object.entries(changes)) {
    test(`by timestamp, ${name}: the refund is dropped; by version it is not`, async () => {
      const client = await database.pool.connect();
      const paid = (payment: string) => paymentEvent({ payment, version: 1, at: paidAt });
      const refunded = (payment: string) => paymentEvent({ payment, version: 2, at: refundedAt });
      await applyByTimestamp(client, paid(`${name} by timestamp`));
      await applyByTimestamp(client, refunded(`${name} by timestamp`));
      await applyVersion(client, paid(`${name} by version`));
      await applyVersion(client, refunded(`${name} by version`));
      client.release();
      expect(await findOrder(database.pool, `${name} by timestamp`)).toMatchObject({ status: 'succeeded' }); // wrong, for ever
      expect(await findOrder(database.pool, `${name} by version`)).toMatchObject({ status: 'refunded' });
    });
  }

  test('by arrival, the late one undoes the newer one', async () => {
    await applyByArrival(database.pool, paymentEvent({ payment: 'pay_by_arrival', version: 2 }));
    await applyByArrival(database.pool, paymentEvent({ payment: 'pay_by_arrival', version: 1 }));
    expect(await findOrder(database.pool, 'pay_by_arrival')).toMatchObject({ status: 'succeeded' });
  });
});
