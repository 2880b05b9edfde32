import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEADLINE_HEADER } from '../chassis/deadline.ts';
import { openIdentity } from '../chassis/identity.ts';
import { MENU_PATH, ORDERS_PATH, type OrderView, readMenu, readOrderView } from '../protocol.ts';
import { type Asking, keys, openOrderRig, PIZZA } from './order-rig.ts';

requirePostgres()('the order service', () => {
  let rig: Awaited<ReturnType<typeof openOrderRig>>;
  beforeAll(async () => {
    rig = await openOrderRig();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  test.concurrent('an order costs what the menu says, is paid for while the customer waits, and is told of', async () => {
    const ann = rig.customer();
    const items = [
      { dish: 'pizza', quantity: 2, price: 1 },
      { dish: 'espresso', quantity: 1, price: 1 },
    ];
    const response = await ann.post({ body: { ...PIZZA, items, total: 1 } });
    expect(response.status).toBe(201);
    const order = readOrderView(await response.json());
    expect(order).toMatchObject({ state: 'paid', total: 2_260, address: PIZZA.address });
    expect(response.headers.get('Location')).toBe(`${ORDERS_PATH}/${order.id}`);
    expect(rig.payment.charge(order.id)).toMatchObject({ customer: ann.name, amount: 2_260, status: 'succeeded' });
    await rig.told(order.id, 'paid');
    expect(rig.story(order.id)).toEqual(['placed', 'paid']);
    expect(await (await ann.get(`${ORDERS_PATH}/${order.id}`)).json()).toEqual(order);
  });

  test.concurrent('what the bank declines is rejected, and says why', async () => {
    const order = await rig.customer().place({ body: { ...PIZZA, items: [{ dish: 'truffle', quantity: 20 }] } });
    expect(order).toMatchObject({ state: 'rejected', reason: 'too much', total: 98_000 });
    await rig.told(order.id, 'rejected');
  });

  test.concurrent('a customer sees his own orders, the gateway alone may ask, and the menu is sent once', async () => {
    const [ann, bob] = [rig.customer(), rig.customer()];
    const { id } = await ann.place();
    const statuses = async (...answers: Promise<Response>[]) =>
      (await Promise.all(answers)).map(({ status }) => status);
    const path = `${ORDERS_PATH}/${id}`;
    expect(await statuses(ann.get(path), bob.get(path), ann.get(`${ORDERS_PATH}/1`))).toEqual([200, 404, 404]);
    const tokenOf = (service: string) =>
      openIdentity({ service, privateKey: keys.kitchen.privateKey }).tokenFor('order', ann.name);
    const as = (token?: string) =>
      fetch(rig.url + path, token ? { headers: { Authorization: `Bearer ${token}` } } : {});
    // Nobody, another service, and one that pretends to be the gateway.
    expect(await statuses(as(), as(tokenOf('kitchen')), as(tokenOf('gateway')))).toEqual([401, 401, 401]);

    const menu = await ann.get(MENU_PATH);
    expect(readMenu(await menu.json()).items).toContainEqual({ id: 'pizza', name: 'Pizza', price: 1_000 });
    expect((await ann.get(MENU_PATH, { 'If-None-Match': menu.headers.get('ETag')! })).status).toBe(304);
  });

  test.concurrent('what cannot be an order is refused, field by field, before anything is done', async () => {
    const ann = rig.customer();
    const refusal = async (asking: Asking) => {
      const response = await ann.post(asking);
      const { errors } = (await response.json()) as { errors?: { field: string }[] };
      return [response.status, ...(errors ?? []).map(({ field }) => field)];
    };
    const items = [...PIZZA.items, { dish: 'unicorn', quantity: 1 }];
    expect(await refusal({ body: { ...PIZZA, items } })).toEqual([400, '/items/1/dish']);
    expect(await refusal({ body: { ...PIZZA, items: [] } })).toEqual([400, '/items']);
    expect(await refusal({ body: { items: PIZZA.items } })).toEqual([400, '/address']);
    expect(await refusal({ headers: { 'Idempotency-Key': '' } })).toEqual([400, 'Idempotency-Key']);
    expect(await refusal({ headers: { [DEADLINE_HEADER]: 'soon' } })).toEqual([400, DEADLINE_HEADER]);
    expect(ann.bank.asked).toEqual([]);
    expect((await rig.pool.query('select from food.orders where customer = $1', [ann.name])).rowCount).toBe(0);
  });

  test.concurrent('payment is slow: within the deadline an order is answered as it stands, and is paid later by itself', async () => {
    const ann = rig.customer();
    ann.bank.behaviour = 'held';
    const response = await ann.post({ headers: { [DEADLINE_HEADER]: '800' } });
    expect(response.status).toBe(202);
    const { id, state, reason } = readOrderView(await response.json());
    expect(state).toBe('awaiting-payment');
    expect(reason).toContain('does not answer');
    ann.bank.release();
    await rig.told(id, 'paid');
    expect(ann.bank.done).toEqual([`succeeded ${id}`]);
    // Nothing is awaited any more, so nothing is said about it.
    expect(await (await ann.get(`${ORDERS_PATH}/${id}`)).json()).not.toHaveProperty('reason');
  });

  test.concurrent('payment fails: it is left alone, orders are answered at once, and all are paid when it is back', async () => {
    await using rig = await openOrderRig({ breaker: { failures: 3, openMs: 300 }, concurrency: 1 });
    const ann = rig.customer();
    ann.bank.behaviour = 'fails';
    const orders: OrderView[] = [];
    await until('an order is answered without payment being asked', async () => {
      orders.push(await ann.place());
      return orders.at(-1)!.reason?.includes('left alone');
    });
    expect(orders.map(({ state }) => state)).toEqual(orders.map(() => 'awaiting-payment'));
    expect(orders.length).toBeGreaterThan(1);
    ann.bank.behaviour = 'answers';
    await Promise.all(orders.map(({ id }) => rig.told(id, 'paid')));
    expect(ann.bank.done).toHaveLength(orders.length);
  });
});
