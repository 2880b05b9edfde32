/** Payments: answered at once, and each customer told once, whatever the queue does meanwhile. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { ClientError, pay, untilNotified } from '../client.ts';
import { parsePaymentStatus } from '../protocol.ts';
import { openShop, PAYMENT } from './shop.ts';

requireRedis()('payments', () => {
  test('a payment is answered while nobody works, and its customer is told when somebody does', async () => {
    await using _leaks = noLeaks();
    await using shop = await openShop();
    const response = await shop.pay(PAYMENT);
    expect(response.status).toBe(201);
    const status = parsePaymentStatus(await response.json());
    expect(status).toMatchObject({ ...PAYMENT, notified: null });
    expect(response.headers.get('Location')).toBe(`/payments/${status.id}`);
    expect(await (await fetch(`${shop.url}/payments/${status.id}`)).json()).toEqual(status);
    shop.hire();
    const { notified } = await untilNotified(shop.url, status.id, { everyMs: 20 });
    expect(Date.parse(notified!)).toBeGreaterThanOrEqual(Date.parse(status.at) - 1_000); // two clocks
    const { rows } = await shop.pool.query('select payment, phone, text from shop.messages');
    expect(rows).toEqual([{ payment: status.id, phone: PAYMENT.phone, text: 'You paid 12.50.' }]);
  });

  test('what is wrong with a payment is said field by field, and none of it is taken', async () => {
    await using shop = await openShop();
    const response = await shop.pay({ phone: '030', amount: 1.5 });
    expect(response.status).toBe(400);
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    const { errors } = (await response.json()) as { errors: { field: string }[] };
    expect(errors.map(({ field }) => field)).toEqual(['/phone', '/amount']);
    expect((await shop.pay({ ...PAYMENT, note: 'x'.repeat(2_000) })).status).toBe(413);
    await expect(pay(shop.url, { ...PAYMENT, amount: 0 })).rejects.toThrow(ClientError);
    expect((await fetch(`${shop.url}/payments`)).status).toBe(405);
    for (const id of ['nonsense', crypto.randomUUID()]) {
      expect((await fetch(`${shop.url}/payments/${id}`)).status).toBe(404);
    }
    expect(await shop.payments()).toBe(0);
  });

  test('the job goes on in the trace of the request', async () => {
    await using shop = await openShop();
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    await shop.pay(PAYMENT, { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
    const [delivery] = await shop.queue.take({ limit: 1, leaseMs: 5_000 });
    expect(delivery!.job.traceparent).toMatch(new RegExp(`^00-${traceId}-(?!b7ad6b7169203331)`));
    await shop.queue.settle([{ delivery: delivery!, as: 'done' }]);
  });

  test('while the queue is full payments are taken, wait in the outbox, and each customer is told once', async () => {
    await using shop = await openShop({ capacity: 3 });
    const responses = await Promise.all(Array.from({ length: 20 }, () => shop.pay(PAYMENT)));
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 201));
    await until('the queue is full, and the rest waits', async () => (await shop.waiting()) === 17);
    expect((await shop.queue.depth()).ready).toBe(3);
    shop.hire();
    await until('all are told', async () => (await shop.messages()) >= 20, { withinMs: 18_000 });
    expect(await shop.waiting()).toBe(0);
    const { rows } = await shop.pool.query('select distinct payment from shop.messages');
    expect([rows.length, await shop.messages()]).toEqual([20, 20]);
  });

  test('when the outbox is full too, a payment is refused with 503 and nothing is taken; the client comes again', async () => {
    await using shop = await openShop({ capacity: 1, outboxCapacity: 2 });
    const paid = () => shop.pay(PAYMENT).then(({ status }) => status);
    await paid();
    await until('it is in the queue', async () => (await shop.waiting()) === 0);
    expect([await paid(), await paid()]).toEqual([201, 201]);
    const response = await shop.pay(PAYMENT);
    expect(response.status).toBe(503);
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    const seconds = Number(response.headers.get('Retry-After'));
    expect(seconds).toBeGreaterThanOrEqual(1);
    expect(await shop.payments()).toBe(3);

    const waits: number[] = [];
    const again = pay(shop.url, PAYMENT, { onFull: (waitMs) => waits.push(waitMs) });
    await until('it was refused', () => waits.length > 0);
    expect(waits[0]).toBeGreaterThanOrEqual(1_000);
    shop.hire();
    const { id } = await again;
    await untilNotified(shop.url, id, { everyMs: 20 });
    expect(await shop.messages()).toBe(4);
    const metrics = await (await fetch(`${shop.url}/metrics`)).text();
    expect(metrics).toMatch(/^queue_refused_total [2-9]$/m);
  });

  test('a broker that is away keeps nobody from paying, and nobody from being told', async () => {
    await using shop = await openShop();
    shop.proxy.refuse();
    shop.proxy.cut();
    const { id } = await pay(shop.url, PAYMENT);
    expect(await shop.waiting()).toBe(1);
    shop.hire();
    shop.proxy.accept();
    await untilNotified(shop.url, id, { everyMs: 20 });
    expect(await shop.messages()).toBe(1);
  });
});

test('a queue in the same database takes the job in the transaction of the payment: no outbox', async () => {
  await using shop = await openShop({ broker: 'postgres', capacity: 3 });
  const statuses: number[] = [];
  for (let i = 0; i < 5; i++) statuses.push((await shop.pay(PAYMENT)).status);
  const refused = statuses.filter((status) => status === 503).length;
  expect(refused).toBeGreaterThan(0);
  expect((await shop.queue.depth()).ready).toBe(5 - refused);
  expect([await shop.payments(), await shop.waiting()]).toEqual([5 - refused, 0]);
  shop.hire();
  await until('they are told', async () => (await shop.messages()) === 5 - refused);
});
