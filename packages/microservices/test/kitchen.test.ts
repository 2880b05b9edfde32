import { randomUUID } from 'node:crypto';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KITCHEN_CHANNEL, ORDERS_CHANNEL, readKitchenEvent } from '../contracts/events.ts';
import { type KitchenOptions, startKitchen } from '../kitchen/server.ts';
import type { State } from '../protocol.ts';
import { openEars, openPlace, quiet } from './place.ts';

requirePostgres()('the kitchen', () => {
  let rig: Awaited<ReturnType<typeof openKitchen>>;
  beforeAll(async () => {
    rig = await openKitchen({ cookMs: 50 });
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  test.concurrent('cooks what is paid, once, however often it hears of it, and nothing else', async () => {
    const [paid, waiting] = [randomUUID(), randomUUID()];
    await rig.order(waiting, 'awaiting-payment');
    for (const state of ['placed', 'paid', 'paid', 'cooking'] as const) await rig.order(paid, state);
    await rig.says(paid, 'cooked');
    await rig.order(paid, 'paid');
    await rig.hasHeard();
    expect(rig.words(paid)).toEqual(['accepted', 'cooked']);
    expect(rig.words(waiting)).toEqual([]);
  });

  test.concurrent('refuses what is sold out, and says what', async () => {
    const order = randomUUID();
    await rig.order(order, 'paid', 'truffle');
    expect(await rig.says(order, 'refused')).toMatchObject({ reason: 'truffle is sold out' });
    expect(rig.words(order)).toEqual(['refused']);
  });

  test.concurrent('two kitchens share the work, and an order is cooked in one of them', async () => {
    await using _other = await rig.startInstance();
    const orders = Array.from({ length: 30 }, () => randomUUID());
    await Promise.all(orders.map((order) => rig.order(order, 'paid')));
    await Promise.all(orders.map((order) => rig.says(order, 'cooked')));
    expect(orders.map((order) => rig.words(order))).toEqual(orders.map(() => ['accepted', 'cooked']));
  });
});

requirePostgres()('a slow kitchen', () => {
  test.concurrent('throws away what is being cancelled, and does not begin what was cancelled before it came', async () => {
    await using rig = await openKitchen({ cookMs: 60_000 });
    const [late, never] = [randomUUID(), randomUUID()];
    await rig.order(late, 'paid');
    await rig.says(late, 'accepted');
    await rig.order(late, 'cancelling');
    for (const state of ['cancelling', 'cancelled', 'paid'] as const) await rig.order(never, state);
    await rig.hasHeard();
    expect(rig.words(never)).toEqual([]);
    const last = randomUUID();
    await rig.order(last, 'paid');
    await rig.says(last, 'accepted');
    await rig.pool.query('update kitchen.tickets set done_at = now()'); // as if a minute had passed
    await rig.says(last, 'cooked');
    expect(rig.words(late)).toEqual(['accepted']);
  });

  test.concurrent('is killed in the middle: what is on the stove is taken off by the next one, when it is done', async () => {
    await using place = await openPlace();
    await using ears = await openEars(place, KITCHEN_CHANNEL);
    const env = {
      DATABASE_URL: place.databaseUrl,
      REDIS_URL: place.redisUrl,
      REDIS_PREFIX: place.prefix,
      COOK_MS: '60000',
      PORT: undefined,
    };
    await using first = startProcess(new URL('../kitchen/server.ts', import.meta.url), { env });
    await first.url(20_000);
    const order = randomUUID();
    await ears.say(ORDERS_CHANNEL, { order, ...paidOrder() });
    const hears = (word: string) =>
      until(word, () => ears.heard.some(({ id }) => id === `${order}:${word}`), { withinMs: 15_000 });
    await hears('accepted');
    await first.kill();
    await place.pool.query('update kitchen.tickets set done_at = now()');
    await using _second = await startKitchen({ ...place, log: quiet });
    await hears('cooked');
    // A relay that was killed after it had sent a message sends it again: the same one.
    expect(new Set(ears.heard.map(({ id }) => id)).size).toBe(2);
  }, 60_000);
});

const paidOrder = (state: State = 'paid', dish = 'pizza') => ({ state, version: 2, items: [{ dish, quantity: 1 }] });

async function openKitchen(options: Partial<KitchenOptions> = {}) {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await openPlace());
  const ears = stack.use(await openEars(place, KITCHEN_CHANNEL));
  const startInstance = () => startKitchen({ ...place, log: quiet, lookEveryMs: 50, graceMs: 500, ...options });
  stack.use(await startInstance());
  const opened = stack.move();
  const heard = () => ears.heard.map(({ data }) => readKitchenEvent(data));
  const order = (id: string, state: State, dish?: string) =>
    ears.say(ORDERS_CHANNEL, { order: id, ...paidOrder(state, dish) });
  const says = (id: string, word: string) =>
    until(`${word} ${id}`, () => heard().find((each) => each.order === id && each.type === word), { withinMs: 15_000 });
  return {
    ...place,
    startInstance,
    order,
    says,
    words: (id: string) => heard().flatMap(({ order, type }) => (order === id ? type : [])),
    /** Waits until what was said so far has been heard: one that comes later has been answered. */
    async hasHeard() {
      const later = randomUUID();
      await order(later, 'paid');
      await says(later, 'accepted');
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
