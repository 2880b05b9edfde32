import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newOrder, openPayment, type PaymentRig } from './payment-rig.ts';

requirePostgres()('what the provider tells payment by webhook', () => {
  describe('settles', () => {
    let payment: PaymentRig;
    beforeAll(async () => {
      payment = await openPayment({ isTold: true });
    });
    afterAll(() => payment[Symbol.asyncDispose]());

    test('a charge whose answer is still on its way, and the answer then changes nothing', async () => {
      const before = await taken(payment);
      const order = newOrder();
      payment.line.stall('down');
      const answer = payment.charge(order);
      await payment.stands(order, 'succeeded');
      payment.line.flow();
      expect(await answer).toMatchObject({ status: 200, charge: { status: 'succeeded' } });
      await delivered(payment, before + 1);
      expect(await payment.told(order, 1)).toEqual(['succeeded']);
      expect(await versionOf(payment, order)).toBe(2);
    });

    test('nothing when it comes after the answer, and comes twice', async () => {
      const before = await taken(payment);
      const order = newOrder();
      await payment.holdWebhooks();
      expect((await payment.charge(order)).charge.status).toBe('succeeded');
      await payment.letWebhooksGo();
      await delivered(payment, before + 1);
      const [delivery] = await payment.provider.query<{ id: string }>(
        'select id from provider.deliveries order by id desc limit 1',
      );
      await fetch(`${payment.provider.url}/deliveries/${delivery!.id}/replay`, { method: 'POST' });
      await delivered(payment, before + 2);
      expect(await payment.told(order, 1)).toEqual(['succeeded']);
      expect(await versionOf(payment, order)).toBe(2);
    });

    test('a refund that overtakes its payment, and the payment then changes nothing', async () => {
      const before = await taken(payment);
      const order = newOrder();
      const { query } = payment.provider;
      await payment.holdWebhooks();
      payment.line.stall('down');
      const answer = payment.charge(order);
      await payment.taken(order);
      const [paid] = await payment.payments(order);
      await fetch(`${payment.provider.url}/payments/${paid!.id}/refund`, { method: 'POST' });
      payment.line.cut();
      expect((await answer).charge.status).toBe('pending');
      payment.line.flow();
      const pending = `state = 'pending' and event in (select id from provider.events where type like $1)`;
      await until('both wait', async () => {
        return (await query(`select from provider.deliveries where ${pending}`, ['payment.%'])).length === 2;
      });
      const wait = (interval: string) =>
        query(`update provider.deliveries set due_at = now() + $2::interval where ${pending}`, [
          '%.succeeded',
          interval,
        ]);
      await wait('1 hour');
      await payment.letWebhooksGo();
      await payment.stands(order, 'refunded');
      await wait('0');
      await delivered(payment, before + 2);
      expect((await payment.find(order)).charge.status).toBe('refunded');
      expect(await payment.told(order, 1)).toEqual(['refunded']);
    });

    test('nothing when it is not signed, and nothing when it is about none of our orders', async () => {
      const before = await taken(payment);
      const order = newOrder();
      payment.line.refuse();
      payment.line.cut();
      await payment.charge(order);
      const data = { payment: 'pay_1', version: 1, amount: 1_000, status: 'succeeded', reference: order };
      const event = { id: 'evt_1', type: 'payment.succeeded', at: new Date().toISOString(), data };
      const headers = {
        'webhook-id': 'evt_1',
        'webhook-timestamp': String(Math.floor(Date.now() / 1_000)),
        'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}`,
      };
      for (const unsigned of [{}, headers]) {
        const { status, headers: answered } = await send(payment, event, unsigned);
        expect([status, answered.get('www-authenticate')]).toEqual([401, 'Webhook-Signature']);
      }
      expect((await payment.find(order)).charge.status).toBe('pending');
      await fetch(`${payment.provider.url}/payments`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ amount: 5, reference: newOrder() }),
      });
      await delivered(payment, before + 1);
    });
  });

  describe('a charge whose service was killed with -9 between the charge and the answer', () => {
    let payment: PaymentRig;
    beforeAll(async () => {
      payment = await openPayment({ isTold: true, isProcess: true });
    });
    afterAll(() => payment[Symbol.asyncDispose]());

    test('is completed by the webhook, though nobody asks again', async () => {
      const order = newOrder();
      await payment.holdWebhooks();
      payment.line.stall('down');
      const unanswered = expect(payment.charge(order)).rejects.toThrow('fetch failed');
      await payment.taken(order);
      await payment.kill();
      await unanswered;
      await payment.start(); // the line to the provider stays as it is
      await payment.letWebhooksGo();
      await payment.stands(order, 'succeeded');
    }, 60_000);

    test('is completed by whoever asks again, with no second payment', async () => {
      const order = newOrder();
      payment.line.stall('down');
      const unanswered = expect(payment.charge(order)).rejects.toThrow('fetch failed');
      await payment.taken(order);
      await payment.kill();
      await unanswered;
      payment.line.flow();
      await payment.start();
      expect((await payment.find(order)).charge.status).toBe('pending');
      expect(await payment.charge(order)).toMatchObject({ status: 200, charge: { status: 'succeeded' } });
      expect(await payment.payments(order)).toHaveLength(1);
      expect(await payment.told(order, 1)).toEqual(['succeeded']);
    }, 60_000);
  });

  test('reaches payment by a registration that was made when the provider was back', async () => {
    await using payment = await openPayment({ publicUrl: 'http://127.0.0.1:9' });
    const isRegistered = async () => (await payment.provider.query('select from provider.endpoints')).length > 0;
    await until('registered', isRegistered);
    payment.line.refuse();
    payment.line.cut();
    await payment.provider.query('delete from provider.endpoints');
    await payment.query('delete from shop.secrets');
    await payment.start(); // a second instance, which finds nobody
    expect((await payment.charge(newOrder())).status).toBe(202);
    expect(await isRegistered()).toBe(false);
    payment.line.accept();
    await until('registered', isRegistered);
  });
});

/** How many webhooks payment has answered with a 2xx. */
async function taken({ provider }: PaymentRig): Promise<number> {
  const [row] = await provider.query<{ taken: number }>(
    'select coalesce(sum(succeeded), 0)::int as taken from provider.endpoints',
  );
  return row!.taken;
}

const delivered = (payment: PaymentRig, times: number) =>
  until(`${times} webhooks were taken`, async () => (await taken(payment)) === times);

async function versionOf({ query }: PaymentRig, order: string): Promise<number> {
  const [row] = await query<{ version: number }>('select version from payment.charges where order_id = $1', [order]);
  return row!.version;
}

const send = (payment: PaymentRig, event: object, headers: Record<string, string>) =>
  fetch(`${payment.url}/webhooks`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(event),
  });
