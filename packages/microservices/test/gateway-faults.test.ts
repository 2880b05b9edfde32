import { until, within } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as rig from './gateway-rig.ts';

requirePostgres()('the gateway, when others fail', () => {
  let town: rig.GatewayRig;
  beforeAll(async () => {
    town = await rig.openGatewayRig();
  });
  afterAll(() => town[Symbol.asyncDispose]());

  /** A gateway of its own before an order service of its own. */
  async function open(answering: rig.Answering, options: Parameters<typeof town.start>[0] = {}) {
    await using stack = new AsyncDisposableStack();
    const order = stack.use(await rig.startStub(answering));
    const { url } = stack.use(await town.start({ orderUrls: [order.url], ...options }));
    const opened = stack.move();
    return { url, order, [Symbol.asyncDispose]: () => opened.disposeAsync() };
  }
  const place = (url: string, options?: Parameters<typeof rig.order>[2]) => rig.order(url, town.token, options);
  const showMenu = async (url: string) => rig.read(await fetch(`${url}/menu`));

  test.concurrent('asks again when an answer got lost, with the same key, so that it is one order', async () => {
    let lost = 0;
    await using one = await open((response, asked) => {
      if (lost++ === 0) response.destroy();
      else rig.takesOrders(response, asked);
    });
    expect((await place(one.url)).status).toBe(201);
    const keys = one.order.asked.map(({ headers }) => headers['idempotency-key']);
    expect(keys).toEqual([keys[0], keys[0]]);
  });

  test.concurrent('answers in time when order does not, and has order stop', async () => {
    await using one = await open(() => {}, { maxMs: 600 });
    const { status, body, headers } = await place(one.url);
    expect([status, body.detail, headers.get('retry-after')]).toEqual([504, 'order did not answer in time', '2']);
    for (const { closed, headers: given } of one.order.asked) {
      expect(await closed).toBe(false); // given up, by us
      expect(Number(given['deadline-ms'])).toBeLessThan(300); // half of it, for one attempt, less a reserve
    }
  });

  test.concurrent('stops what it does for a customer who has left', async () => {
    await using one = await open(() => {}, { maxMs: 120_000 });
    const leaving = new AbortController();
    const placed = place(one.url, { signal: leaving.signal }).catch(() => 'left');
    const asked = await until('order was asked', () => one.order.asked[0]);
    leaving.abort();
    expect([await placed, await within('order is told', 20_000, asked.closed)]).toEqual(['left', false]);
  });

  test.concurrent('leaves a service alone that fails and fails, and the others do not notice', async () => {
    await using one = await open((response) => rig.send(response, 500, {}), {
      breaker: { failures: 2, openMs: 60_000 },
    });
    const statuses = [await place(one.url), await place(one.url), await place(one.url)].map(({ status }) => status);
    expect(statuses).toEqual([502, 502, 503]);
    expect(one.order.asked.length).toBe(2); // a 500 is asked once, and behind an open breaker nothing is
    const body = JSON.stringify(town.ann);
    const headers = { 'Content-Type': 'application/json' };
    expect((await fetch(`${one.url}/login`, { method: 'POST', body, headers })).status).toBe(200);
    expect(await (await fetch(`${one.url}/metrics`)).text()).toMatch(
      /dependency_breaker_open\{dependency="order".*\} 1/,
    );
  });

  test.concurrent('refuses browsing first, then ordering, and queues nobody', async () => {
    const held: (() => void)[] = [];
    const answering: rig.Answering = (response, asked) => void held.push(() => rig.takesOrders(response, asked));
    await using one = await open(answering, { maxInFlight: 4 });
    const isHolding = (n: number) => until(`${n} orders are held`, () => held.length === n);
    const orders = [place(one.url), place(one.url)];
    await isHolding(2);
    const refused = await showMenu(one.url);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    orders.push(place(one.url), place(one.url));
    await isHolding(4);
    expect(await place(one.url)).toMatchObject({ status: 503, body: { detail: 'too much to do for ordering now' } });
    for (const answer of held.splice(0)) answer();
    expect((await Promise.all(orders)).map(({ status }) => status)).toEqual([201, 201, 201, 201]);
    await until('there is room again', async () => {
      const menu = showMenu(one.url);
      await isHolding(1);
      held.pop()!();
      return (await menu).status === 200;
    });
  });

  test.concurrent('asks for the menu once, however many look, and shows the last one when order is away', async () => {
    const held: (() => void)[] = [];
    await using one = await open((response) => void held.push(() => rig.send(response, 200, rig.MENU)));
    const looks = Array.from({ length: 5 }, () => showMenu(one.url));
    await until('order was asked', () => held.length === 1);
    // They all are at the gateway by now, or will find the menu fresh enough to be the one that is on its way.
    await until('all look', async () => / 5$/m.test(await inFlight(one.url)));
    held.pop()!();
    for (const { status, body } of await Promise.all(looks)) expect([status, body]).toEqual([200, rig.MENU]);
    expect(one.order.asked.length).toBe(1);

    await one.order[Symbol.asyncDispose]();
    const { status, body, headers } = await showMenu(one.url);
    expect([status, body, headers.get('cache-control')]).toEqual([200, { ...rig.MENU, degraded: true }, 'no-store']);
    expect(headers.get('age')).toMatch(/^\d+$/);
  });

  test.concurrent('has no menu to show when it has never seen one', async () => {
    await using one = await open((response) => rig.send(response, 500, {}));
    expect(await showMenu(one.url)).toMatchObject({ status: 502, body: { detail: 'order failed' } });
  });
});

const inFlight = async (url: string) =>
  /^gateway_requests_in_flight.*$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[0] ?? '';
