import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { startRedis } from '@patterns/services/start-redis';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KITCHEN_CHANNEL } from '../contracts/events.ts';
import { readOrderView } from '../protocol.ts';
import { keys, openOrderRig } from './order-rig.ts';
import { openPlace } from './place.ts';

const orderOf = (question: string | undefined) => question!.split(' ')[1]!;

requirePostgres()('the saga goes on', () => {
  let rig: Awaited<ReturnType<typeof openOrderRig>>;
  beforeAll(async () => {
    rig = await openOrderRig();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  const endLease = (order: string) => rig.pool.query('update food.orders set due_at = now() where id = $1', [order]);

  test.concurrent('when its process is killed between the charge and the writing down: at another instance, charged once', async () => {
    const env = {
      DATABASE_URL: rig.databaseUrl,
      REDIS_URL: rig.redisUrl,
      REDIS_PREFIX: rig.prefix,
      PAYMENT_URL: rig.payment.url,
      SERVICE_KEY: keys.order.privateKey,
      SERVICE_PUBLIC_KEYS: JSON.stringify({ gateway: keys.gateway.publicKey }),
      PORT: undefined,
    };
    await using first = startProcess(new URL('../order/server.ts', import.meta.url), { env });
    const url = await first.url(20_000);
    const ann = rig.customer();
    ann.bank.behaviour = 'held';
    const answer = ann.post({ url }).catch(() => 'cut off');
    await until('it is charged', () => ann.bank.done.length === 1);
    await first.kill();
    expect(await answer).toBe('cut off');
    ann.bank.release();
    const id = orderOf(ann.bank.asked[0]);
    await endLease(id); // the other instance would wait for it, some seconds
    await rig.told(id, 'paid');
    expect(ann.bank.asked.length).toBeGreaterThan(1);
    expect(ann.bank.done).toEqual([`succeeded ${id}`]);
    expect(rig.story(id)).toEqual(['placed', 'paid']);
  }, 60_000);

  test.concurrent('at one instance at a time, however many share the work', async () => {
    await using _other = await rig.startInstance();
    const [ann, bob] = [rig.customer(), rig.customer()];
    ann.bank.behaviour = 'pending';
    const orders = await Promise.all([ann.place(), ann.place(), ann.place()]);
    ann.bank.behaviour = 'held';
    await until('each is asked for in the background', () => ann.bank.held.length === orders.length);
    bob.bank.behaviour = 'pending';
    const { id: later } = await bob.place();
    bob.bank.behaviour = 'answers';
    await rig.told(later, 'paid'); // so somebody has looked for what is due
    expect(ann.bank.atOnce).toBe(1);
    ann.bank.release();
    await Promise.all(orders.map(({ id }) => rig.told(id, 'paid')));
  });

  test.concurrent('and whoever comes back after his lease has ended changes nothing any more', async () => {
    const ann = rig.customer();
    ann.bank.behaviour = 'held';
    const slow = ann.post();
    await until('the first one asks', () => ann.bank.asked.length === 1);
    const id = orderOf(ann.bank.asked[0]);
    await endLease(id);
    await until('a second one asks', () => ann.bank.asked.length === 2);
    const [first, second] = ann.bank.held;
    second!();
    await rig.told(id, 'paid');
    first!();
    expect(readOrderView(await (await slow).json())).toMatchObject({ id, state: 'paid' });
    const { rows } = await rig.pool.query('select state, version from food.orders where id = $1', [id]);
    expect(rows).toEqual([{ state: 'paid', version: 2 }]);
  });

  test.concurrent('when PostgreSQL ends all connections, as at a failover', async () => {
    await using rig = await openOrderRig();
    const ann = rig.customer();
    const orders = await Promise.all([ann.paid(), ann.paid(), ann.paid()]);
    const killed = await rig.pool.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    expect(killed.rowCount).toBeGreaterThan(1);
    for (const order of orders) await rig.say(KITCHEN_CHANNEL, { order, type: 'accepted' });
    const { id } = await until('orders are taken again', () => ann.place());
    await rig.told(id, 'paid');
    await Promise.all(orders.map((order) => rig.told(order, 'cooking')));
  });
});

requireRedis()('Redis is away', () => {
  test('orders are taken and paid all the same, and what is to be said of them is said when it is back', async () => {
    await using _leaks = noLeaks();
    await using redis = await startRedis({ persist: true });
    await using place = await openPlace({ redisUrl: redis.url });
    await using rig = await openOrderRig({ place });
    const ann = rig.customer();
    await ann.paid();
    await redis.kill();
    const { id, state } = await ann.place();
    expect(state).toBe('paid');
    await redis.restart();
    await rig.told(id, 'paid');
    await rig.say(KITCHEN_CHANNEL, { order: id, type: 'accepted' });
    await rig.told(id, 'cooking');
    expect(rig.story(id)).toEqual(['placed', 'paid', 'cooking']);
  });
});
