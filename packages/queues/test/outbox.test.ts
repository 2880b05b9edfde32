/** The outbox and its relays: what they carry is sent at least once, and done once. */
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { transaction } from '../database.ts';
import { newJob } from '../job.ts';
import { notifier } from '../notifications.ts';
import { outbox, startRelay } from '../outbox.ts';
import { openShop, PAYMENT } from './shop.ts';

requireRedis()('the outbox', () => {
  test('a relay that dies between the broker and the commit sends twice, and the customer is told once', async () => {
    await using shop = await openShop();
    await shop.pay(PAYMENT); // the line is up, and the relay has carried its first one
    await until('it is sent', async () => (await shop.queue.depth()).ready === 1);
    shop.proxy.stall('down'); // from now on Redis takes what comes, and its answers do not arrive
    await shop.pay({ ...PAYMENT, phone: '+4930999999' });
    await until('Redis has it', async () => (await shop.queue.depth()).ready === 2);
    const killed = await until('the relay is in its transaction', async () => {
      const { rowCount } = await shop.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and state = 'idle in transaction' and query like '%shop.outbox%'`,
      );
      return rowCount;
    });
    expect(killed).toBe(1);
    shop.proxy.cut();
    shop.proxy.flow();
    await until('it is sent again', async () => (await shop.queue.depth()).ready === 3);
    await until('the row is gone', async () => (await shop.waiting()) === 0);
    const worker = shop.hire();
    const ids = await Promise.all([1, 2, 3].map(() => worker.reports.next().then(({ job }) => job.id)));
    expect(new Set(ids).size).toBe(2);
    expect(await shop.messages()).toBe(2);
  });

  test('several relays share the rows: each is sent once', async () => {
    await using shop = await openShop();
    const jobs = Array.from({ length: 300 }, (_, n) => newJob({ kind: 'notify', data: n }));
    await transaction(shop.pool, (client) => outbox()(client, jobs));
    const relays = [1, 2, 3].map(() => startRelay({ pool: shop.pool, queue: shop.queue, batch: 7 }));
    await until('all are sent', async () => (await shop.waiting()) === 0);
    for (const relay of relays) await relay[Symbol.asyncDispose]();
    const deliveries = await shop.queue.take({ limit: 1_000, leaseMs: 5_000 });
    const ids = new Set(deliveries.map(({ job }) => job.id));
    expect([deliveries.length, ids]).toEqual([300, new Set(jobs.map(({ id }) => id))]);
    await shop.queue.settle(deliveries.map((delivery) => ({ delivery, as: 'done' })));
  });
});

test('a job that comes several times at once has one effect, and one whose effect failed may come again', async () => {
  await using shop = await openShop({ broker: 'postgres' });
  const handle = notifier({ pool: shop.pool, gateway: async () => {} });
  const { signal } = new AbortController();
  const good = newJob({ kind: 'notify', data: { ...PAYMENT, payment: crypto.randomUUID() } });
  await Promise.all(Array.from({ length: 8 }, () => handle(good, { signal })));
  expect(await shop.messages()).toBe(1);

  const handled = async () => (await shop.pool.query('select job from shop.handled')).rows.map(({ job }) => job);
  const bad = newJob({ kind: 'notify', data: { ...PAYMENT, payment: 'no uuid' } }); // PostgreSQL refuses the message
  await expect(handle(bad, { signal })).rejects.toThrow('uuid');
  expect(await handled()).toEqual([good.id]);
  await expect(handle(newJob({ kind: 'notify', data: { phone: 1 } }), { signal })).rejects.toThrow(
    'not a notification',
  );
});
