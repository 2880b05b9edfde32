/** An order service for tests, with a payment service that can be made to fail. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { until } from '@patterns/kit/testing/until';
import { openIdentity } from '../chassis/identity.ts';
import { ORDERS_CHANNEL, type OrderEvent, readOrderEvent } from '../contracts/events.ts';
import { type OrderOptions, startOrder } from '../order/server.ts';
import { ORDERS_PATH, type OrderRequest, type OrderView, readOrderView, type State } from '../protocol.ts';
import { startPaymentStub } from './payment-stub.ts';
import { openEars, openPlace, type Place, quiet } from './place.ts';

const pair = () =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
export const keys = { gateway: pair(), order: pair(), kitchen: pair() };

export const PIZZA: OrderRequest = { items: [{ dish: 'pizza', quantity: 1 }], address: '1 Main Street' };
export const AT_ONCE = { failures: 1_000_000, openMs: 1 };

export async function openOrderRig({ place: given, ...options }: Partial<OrderOptions> & { place?: Place } = {}) {
  await using stack = new AsyncDisposableStack();
  const place = given ?? stack.use(await openPlace());
  const payment = stack.use(await startPaymentStub());
  const ears = stack.use(await openEars(place, ORDERS_CHANNEL));
  /** Further instances share everything. */
  const startInstance = (more: Partial<OrderOptions> = {}) =>
    startOrder({
      ...place,
      paymentUrls: [payment.url],
      identity: openIdentity({ service: 'order', privateKey: keys.order.privateKey }),
      callers: { gateway: keys.gateway.publicKey },
      breaker: AT_ONCE,
      // The machine may be busy with other things.
      maxMs: 15_000,
      paymentTimeoutMs: 10_000,
      stepMs: 10_000,
      pool: {
        acquireTimeoutMs: 15_000,
        statementTimeoutMs: 15_000,
        lockTimeoutMs: 15_000,
        idleInTransactionMs: 15_000,
      },
      lookEveryMs: 50,
      log: quiet,
      graceMs: 500,
      ...options,
      ...more,
    });
  const { url } = stack.use(await startInstance());
  const opened = stack.move();
  /** A relay that dies after it has sent a message, and before it has noted that, sends it twice: it counts once. */
  const events = (order: string): OrderEvent[] => {
    const heard = ears.heard.map(({ id, data }) => [id, readOrderEvent(data)] as const);
    return [...new Map(heard).values()].filter((event) => event.order === order);
  };
  /** Waits until it was told that an order is in a state. */
  const told = (order: string, state: State) =>
    until(`${order} ${state}`, () => events(order).find((event) => event.state === state), { withinMs: 15_000 });
  return {
    ...place,
    url,
    payment,
    say: ears.say,
    heard: ears.heard,
    startInstance,
    events,
    told,
    /** Each state that was told of an order, in the order of the versions. */
    story: (order: string) =>
      events(order)
        .toSorted((a, b) => a.version - b.version)
        .map(({ state }) => state),
    /** Somebody whom no other test knows. */
    customer() {
      const name = randomUUID();
      const place = (asking: Asking = {}) => placeOrder(asking.url ?? url, { customer: name, ...asking });
      return {
        name,
        bank: payment.of(name),
        post: (asking: Asking = {}) => post(asking.url ?? url, { customer: name, ...asking }),
        place,
        /** Places an order, and waits until it is paid, at once or later: the machine may be busy. @returns its id. */
        async paid(asking: Asking = {}) {
          const { id } = await place(asking);
          await told(id, 'paid');
          return id;
        },
        get: (path: string, headers?: Record<string, string>) => get(url, path, name, headers),
      };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const gateway = openIdentity({ service: 'gateway', privateKey: keys.gateway.privateKey });

export interface Asking {
  /** Of another instance. */
  url?: string;
  key?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** POST /orders, as the gateway asks for a customer. */
function post(url: string, { customer, key = randomUUID(), body = PIZZA, headers }: Asking & { customer: string }) {
  return fetch(url + ORDERS_PATH, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${gateway.tokenFor('order', customer)}`,
      'Content-Type': 'application/json',
      'Idempotency-Key': `"${key}"`,
      ...headers,
    },
    body: JSON.stringify(body),
  });
}

/** @throws when it is not taken. */
async function placeOrder(url: string, asking: Asking & { customer: string }): Promise<OrderView> {
  const response = await post(url, asking);
  const body = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(body)}`);
  return readOrderView(body);
}

export function get(url: string, path: string, customer: string, headers: Record<string, string> = {}) {
  return fetch(url + path, { headers: { Authorization: `Bearer ${gateway.tokenFor('order', customer)}`, ...headers } });
}
