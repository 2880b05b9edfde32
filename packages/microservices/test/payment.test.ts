import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { newOrder, openPayment, type PaymentRig } from './payment-rig.ts';

requirePostgres()('payment', () => {
  describe('charges', () => {
    let payment: PaymentRig;
    beforeAll(async () => {
      payment = await openPayment();
    });
    afterAll(() => payment[Symbol.asyncDispose]());

    test('an order once, however many ask at once, and tells it once', async () => {
      const order = newOrder();
      const answers = await Promise.all(Array.from({ length: 10 }, () => payment.charge(order)));
      for (const { status } of answers) expect([200, 202]).toContain(status); // 202 on a machine that is very busy
      const charge = { order, customer: 'customer-1', amount: 1_000, status: 'succeeded' };
      expect(await payment.charge(order)).toEqual({ status: 200, charge });
      expect(await payment.payments(order)).toMatchObject([{ amount: 1_000, status: 'succeeded' }]);
      expect(await payment.told(order, 1)).toEqual(['succeeded']);
    });

    test('nobody beyond the limit, and does not even ask the provider', async () => {
      payment.line.refuse();
      payment.line.cut();
      const [most, more] = [newOrder(), newOrder()];
      expect(await payment.charge(more, 500_01)).toMatchObject({
        status: 200,
        charge: { status: 'declined', reason: 'more than 500.00 is not charged' },
      });
      payment.line.accept();
      expect((await payment.charge(most, 500_00)).charge.status).toBe('succeeded');
      expect(await payment.payments(more)).toEqual([]);
    });

    test('no order with another amount or for another customer, and nothing that is no request', async () => {
      const order = newOrder();
      await payment.charge(order, 1_000);
      expect((await payment.charge(order, 2_000)).status).toBe(422);
      expect((await payment.post('/charges', { order, customer: 'customer-2', amount: 1_000 })).status).toBe(422);
      for (const body of [{}, { order, customer: 'c' }, { order, customer: 'c', amount: 0 }, []]) {
        expect((await payment.post('/charges', body)).status).toBe(400);
      }
      expect((await payment.charge(newOrder(), 1, { 'Deadline-Ms': 'soon' })).status).toBe(400);
      expect((await payment.find(newOrder())).status).toBe(404);
      expect(await payment.payments(order)).toHaveLength(1);
    });

    test('at once with `pending`, when the provider does not answer before the deadline; the same request later finds out', async () => {
      const order = newOrder();
      payment.line.stall('down'); // it takes the money, and its answer does not come
      expect(await payment.charge(order, 1_000, { 'Deadline-Ms': '2000' })).toMatchObject({
        status: 202,
        charge: { status: 'pending' },
      });
      expect(await payment.payments(order)).toHaveLength(1);
      payment.line.flow();
      expect(await payment.charge(order)).toMatchObject({ status: 200, charge: { status: 'succeeded' } });
      expect(await payment.payments(order)).toHaveLength(1);
    });

    test('while Redis is away, when it is started so, too; what is to be told waits', async () => {
      await using redis = await startFaultProxy(inject('redisUrl'));
      redis.refuse();
      await using other = await openPayment({ redisUrl: redis.url });
      const order = newOrder();
      expect((await other.charge(order)).charge.status).toBe('succeeded');
      expect(await other.query('select from shop.outbox')).toHaveLength(1);
      redis.accept();
      expect(await other.told(order, 1)).toEqual(['succeeded']);
    });
  });
});
