/**
 * The books, when the day is over: asked of the databases of all services, and of nobody else. Demo, chaos and tests share it.
 *
 * No service may look into the database of another one, and none does. Here is somebody who stands outside, as an auditor does, and
 * lays the books side by side: only so does it show whether what each of them believes fits together.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '@patterns/kit/testing/until';
import pg from 'pg';
import { FINAL_STATES } from './protocol.ts';

/** Whose books there are. */
export const AUDITED = ['order', 'payment', 'provider', 'notification', 'kitchen', 'tracking'] as const;
export type Audited = (typeof AUDITED)[number];
/** The database of each. */
export type Books = Readonly<Record<Audited, string>>;

export interface Audit {
  readonly orders: number;
  /** How many orders are in each state. */
  readonly states: Readonly<Record<string, number>>;
  /** In cents: the totals of what was delivered, and what the provider has and has not given back. */
  readonly delivered: number;
  readonly paid: number;
  /** Payments at the provider that were not given back. */
  readonly kept: number;
  /** Messages that customers got. */
  readonly told: number;
  /** What does not fit together, one sentence each. An order that is not over yet is one. */
  readonly faults: readonly string[];
}

type Row = Readonly<Record<string, string | number | null>>;

const QUESTIONS: Readonly<Record<Audited, string>> = {
  order: 'select id::text as order, state, total from food.orders',
  payment: 'select order_id as order, status, amount from payment.charges',
  provider: 'select id, reference as order, status, amount::float8 as amount from provider.payments',
  notification: 'select order_id as order, what, amount from notification.messages',
  kitchen: 'select order_id::text as order, state from kitchen.tickets',
  tracking: 'select order_id as order, state, picked_up, metres from tracking.deliveries',
};

/** Counts once, now. @param allOrders ids that somebody was told of, by an answer: each must be in the books. */
export async function audit(books: Books, allOrders: Iterable<string> = []): Promise<Audit> {
  const rows = await Promise.all(AUDITED.map((name) => ask(books[name], QUESTIONS[name])));
  const [orders, charges, payments, messages, tickets, deliveries] = rows as [Row[], Row[], Row[], Row[], Row[], Row[]];
  const faults: string[] = [];
  const expect = (holds: boolean, fault: string) => holds || faults.push(fault);

  const byOrder = (some: Row[]) => Map.groupBy(some, (row) => row.order);
  const [charged, paid, told] = [byOrder(charges), byOrder(payments), byOrder(messages)];
  const [cooked, driven] = [byOrder(tickets), byOrder(deliveries)];
  const known = new Set(orders.map((row) => row.order));
  for (const id of allOrders) expect(known.has(id), `order ${id}: the customer was told of it, and it is not there`);

  for (const { order: id, state, total } of orders) {
    const say = (fault: string) => `order ${id}, ${state}: ${fault}`;
    const isDelivered = state === 'delivered';
    expect(FINAL_STATES.includes(state as never), say('is not over'));
    const own = paid.get(id) ?? [];
    const kept = own.filter(({ status }) => status === 'succeeded');
    expect(own.length <= 1, say(`${own.length} payments at the provider`));
    expect(kept.length === (isDelivered ? 1 : 0), say(`${kept.length} payments were kept`));
    for (const { amount } of kept) expect(amount === total, say(`${amount} paid of ${total}`));

    const status = charged.get(id)?.[0]?.status;
    const isRefunded = own.some((payment) => payment.status === 'refunded');
    expect(
      (status === 'succeeded') === kept.length > 0,
      say(`to payment it is ${status}, and ${kept.length} are kept`),
    );
    expect((status === 'refunded') === isRefunded, say(`to payment it is ${status}, refunded: ${isRefunded}`));

    const saidOf = (what: string) => told.get(id)?.filter((message) => message.what === what).length ?? 0;
    const [succeeded, refunded] = [saidOf('succeeded'), saidOf('refunded')];
    // One that was refunded before anybody knew that it was paid is told once, of the refund.
    const isToldOfPayment = isRefunded ? succeeded <= 1 : succeeded === (isDelivered ? 1 : 0);
    expect(isToldOfPayment, say(`told ${succeeded} times that it was paid`));
    expect(refunded === (isRefunded ? 1 : 0), say(`told ${refunded} times of the refund`));

    expect(!isDelivered || cooked.has(id), say('nobody cooked it'));
    const isDriven = driven.get(id)?.some((delivery) => delivery.picked_up && delivery.metres === 0) ?? false;
    expect(isDriven === isDelivered, say(isDriven ? 'a courier brought it' : 'no courier brought it'));
  }
  for (const [id] of [...paid, ...charged]) expect(known.has(String(id)), `order ${id}: paid, and never ordered`);

  const sum = (some: Row[], field: string) => some.reduce((total, row) => total + Number(row[field]), 0);
  const result = {
    orders: orders.length,
    states: Object.fromEntries([...Map.groupBy(orders, ({ state }) => state)].map(([state, of]) => [state, of.length])),
    delivered: sum(
      orders.filter(({ state }) => state === 'delivered'),
      'total',
    ),
    paid: sum(
      payments.filter(({ status }) => status === 'succeeded'),
      'amount',
    ),
    kept: payments.filter(({ status }) => status === 'succeeded').length,
    told: messages.length,
    faults,
  };
  expect(result.delivered === result.paid, `delivered for ${result.delivered}, and paid ${result.paid}`);
  return result;
}

/** All books at once are some work for PostgreSQL, which has others to serve. */
const LOOK_MS = 200;

/** Waits until every order is over and everybody told, or for `withinMs`; the last audit says what is still missing then. */
export async function auditWhenOver(
  books: Books,
  allOrders: Iterable<string> = [],
  { withinMs = 30_000, signal }: { withinMs?: number; signal?: AbortSignal } = {},
): Promise<Audit> {
  let last: Audit | undefined;
  const isOver = async () => {
    last = await audit(books, allOrders);
    if (last.faults.length > 0) await pause(LOOK_MS, undefined, signal && { signal });
    return last.faults.length === 0;
  };
  await until('the books fit together', isOver, { withinMs, ...(signal && { signal }) }).catch((error) => {
    signal?.throwIfAborted();
    if (!last) throw error;
  });
  return last!;
}

async function ask(url: string, question: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'audit' });
  client.on('error', () => {}); // the question that it broke rejects
  await client.connect();
  try {
    return (await client.query<Row>(question)).rows;
  } finally {
    await client.end();
  }
}
