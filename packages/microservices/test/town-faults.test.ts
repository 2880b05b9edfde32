/**
 * The whole town under a steady flow of orders, and one fault after the other, each really done. What came of it is counted in the
 * databases of the services; in the end the books of all of them have to fit together.
 */
import { randomUUID } from 'node:crypto';
import { Story } from '@patterns/kit/story';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Audited, auditWhenOver } from '../audit.ts';
import { logIn, type Placed, placeOrder, signUp } from '../client.ts';
import { type DemoTown, openDemoTown } from '../demo-town.ts';
import { type Flow, startFlow } from '../flow.ts';

/** So many orders are looked at in each test: one may be chance. */
const SOME = 5;
const PER_SECOND = 5;
const limits = { timeout: 120_000 };

const MEAL = { items: [{ dish: 'burger', quantity: 1 }], address: '2 Harbour Street' };

/** The demo's town, without a word of it. */
class Silent extends Story {
  override wire(): void {}
  override act(): void {}
}

const stack = new AsyncDisposableStack();
let town: DemoTown;
let flow: Flow;
/** Everything that order has sent to payment. */
let asked = '';
const own: Placed[] = [];

async function openTown(): Promise<void> {
  const use = <T extends AsyncDisposable>(resource: T): T => stack.use(resource);
  const { signal } = new AbortController();
  const stage = { story: new Silent(['customer']), signal, chosen: {}, use, keep: use };
  town = await openDemoTown(stage, (chunk) => {
    asked += chunk;
  });
  town.sumUp();
  flow = use(await startFlow(town.url, { perSecond: PER_SECOND, patienceMs: limits.timeout }));
  await flow.more(1);
}

async function rows(of: Audited, question: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: town.books[of], application_name: 'test' });
  await client.connect();
  try {
    return (await client.query(question, values)).rows;
  } finally {
    await client.end();
  }
}

const idsOf = (answered: Flow['answered']) => answered.map(({ order }) => order.id);
const inState = async (ids: string[], states: string[]) =>
  (await rows('order', 'select from food.orders where id = any($1) and state = any($2)', ids, states)).length;
const wait = (what: string, condition: () => unknown) => until(what, condition, { withinMs: limits.timeout / 2 });
const waitUntilOver = (ids: string[]) =>
  wait('they are over', async () => (await inState(ids, ['delivered', 'cancelled', 'rejected'])) === ids.length);

requireRedis()('the town', () => {
  requirePostgres()('under a flow of orders', () => {
    beforeAll(openTown, 120_000);
    afterAll(() => stack.disposeAsync());

    test(
      'notification is killed: all orders are paid meanwhile, and everybody is told when it is back',
      limits,
      async () => {
        await town.town.kill('notification');
        const told = (await rows('notification', 'select from notification.messages')).length;
        const ids = idsOf(await flow.more(SOME));
        const paid = (await rows('order', 'select id from food.orders where id = any($1) and total <= 50000', ids)).map(
          ({ id }) => String(id),
        );
        const charged = () =>
          rows('payment', `select from payment.charges where order_id = any($1) and payment is not null`, paid);
        await wait('all of them are paid', async () => (await charged()).length === paid.length);
        await wait('and go on', async () => (await inState(ids, ['placed', 'awaiting-payment', 'paid'])) === 0);
        expect(paid.length).toBeGreaterThan(0);
        expect(await rows('notification', 'select from notification.messages')).toHaveLength(told);
        await town.town.start('notification');
        const toldOf = 'select distinct order_id from notification.messages where order_id = any($1)';
        await wait('everybody is told', async () => (await rows('notification', toldOf, paid)).length === paid.length);
      },
    );

    test(
      'payment is killed between charge and answer: each order is charged once, and its saga ends',
      limits,
      async () => {
        const { toProvider, webhooks } = town.lines;
        const known = async () =>
          (await rows('payment', 'select order_id from payment.charges where payment is not null')).map(
            (row) => row.order_id,
          );
        const charged = async () =>
          (await rows('provider', 'select reference from provider.payments')).map((row) => row.reference);
        const between = async () => {
          const theirs = new Set(await known());
          return (await charged()).filter((order) => !theirs.has(order)).map(String);
        };
        toProvider.stall('down');
        webhooks.stall();
        await wait('charged, and not answered', async () => (await between()).length >= 3);
        await town.town.kill('payment');
        const orders = await between();
        for (const line of [toProvider, webhooks]) {
          line.cut();
          line.flow();
        }
        expect(orders.length).toBeGreaterThanOrEqual(3);
        await town.town.start('payment');
        await waitUntilOver(orders);
        const payments = (await charged()).map(String).filter((order) => orders.includes(order));
        expect(payments.toSorted()).toEqual(orders.toSorted());
      },
    );

    test(
      'payment does not answer: the breaker opens, orders are answered without asking, and paid when it is back',
      limits,
      async () => {
        const customer = { name: randomUUID(), password: randomUUID() };
        await signUp(town.url, customer);
        const token = await logIn(town.url, customer);
        town.lines.toPayment.stall('down');
        let unasked = 0;
        try {
          await wait('the breaker is open', () => town.isBreakerOpen());
          for (let n = 0; n < 2 * SOME; n++) {
            const order = await placeOrder(town.url, token, MEAL);
            if (!asked.includes(order.id)) unasked++;
            own.push(order);
          }
        } finally {
          town.lines.toPayment.flow(); // or the other tests would fail as well
          town.lines.toPayment.cut();
        }
        expect(own.map(({ state }) => state)).toEqual(own.map(() => 'awaiting-payment'));
        expect(unasked).toBeGreaterThan(SOME); // now and then one of them is the one that tries
        await wait('the breaker is closed', async () => !(await town.isBreakerOpen()));
        await flow.more(1, ({ order }) => order.state === 'paid');
      },
    );

    test('one of two user services is killed: no login fails', limits, async () => {
      const customer = { name: randomUUID(), password: randomUUID() };
      await signUp(town.url, customer);
      const first = logIn(town.url, customer); // under way
      await Promise.all([first, town.town.kill('user-1')]);
      for (let n = 0; n < SOME; n++) await logIn(town.url, customer);
      await town.town.start('user-1');
    });

    test('Redis is killed: orders are paid meanwhile, and cooked when it is back', limits, async () => {
      await town.redis.kill();
      const ids = idsOf(await flow.more(SOME, ({ order }) => order.state === 'paid'));
      expect(await rows('kitchen', 'select from kitchen.tickets where order_id::text = any($1)', ids)).toEqual([]);
      await town.redis.restart();
      await waitUntilOver(ids);
    });

    test('PostgreSQL ends all connections of all services: orders go on', limits, async () => {
      expect(await town.endConnections()).toBeGreaterThan(10);
      await flow.more(SOME, ({ order }) => order.state === 'paid');
    });

    test(
      'and in the end every order is in one final state, the money adds up, everybody was told once',
      limits,
      async () => {
        await flow.stop();
        const ids = [...own.map(({ id }) => id), ...idsOf(flow.answered)];
        const { faults, orders } = await auditWhenOver(town.books, ids, { withinMs: limits.timeout / 2 });
        expect(faults).toEqual([]);
        expect(flow.failed).toEqual([]);
        expect(orders).toBe(new Set(ids).size);
        expect(
          await inState(
            own.map(({ id }) => id),
            ['delivered'],
          ),
        ).toBe(own.length);
      },
    );
  });
});
