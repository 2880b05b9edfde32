import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newOrder, openPayment, type PaymentRig } from './payment-rig.ts';

requirePostgres()('payment', () => {
  let payment: PaymentRig;
  beforeAll(async () => {
    payment = await openPayment({ reconcileAfterMs: 0 });
  });
  afterAll(() => payment[Symbol.asyncDispose]());

  describe('gives back', () => {
    test('the money once, however many ask at once, and tells it once', async () => {
      const order = newOrder();
      await payment.charge(order);
      const answers = await Promise.all(Array.from({ length: 5 }, () => payment.refund(order)));
      for (const { status } of answers) expect([200, 202]).toContain(status); // 202 on a machine that is very busy
      expect(await payment.refund(order)).toMatchObject({ status: 200, charge: { status: 'refunded' } });
      const [paid, ...others] = await payment.payments(order);
      expect([paid?.status, others]).toEqual(['refunded', []]);
      expect((await payment.charge(order)).charge.status).toBe('refunded');
      expect(await payment.told(order, 2)).toEqual(['succeeded', 'refunded']);
    });

    test('nothing of an order that was never charged, and sees to it that it never is', async () => {
      const order = newOrder();
      for (const ask of [payment.refund, payment.charge, payment.refund]) {
        expect(await ask(order)).toMatchObject({ status: 200, charge: { order, amount: 1_000, status: 'void' } });
      }
      expect(await payment.payments(order)).toEqual([]);
    });

    test('nothing of what was declined', async () => {
      const order = newOrder();
      await payment.charge(order, 600_00);
      expect((await payment.refund(order, 600_00)).charge.status).toBe('declined');
    });

    test('a charge of which nobody knows whether it was made, when the provider is back', async () => {
      const [lost, unsent] = [newOrder(), newOrder()];
      payment.line.stall('down'); // it takes the first, and never hears of the second
      const answer = payment.charge(lost);
      await payment.taken(lost);
      payment.line.refuse();
      payment.line.cut();
      expect((await answer).charge.status).toBe('pending');
      expect((await payment.charge(unsent)).charge.status).toBe('pending');
      for (const order of [lost, unsent]) {
        expect(await payment.refund(order)).toMatchObject({ status: 202, charge: { status: 'refunding' } });
        expect(await payment.charge(order)).toMatchObject({ status: 202, charge: { status: 'refunding' } });
      }
      payment.line.flow();
      payment.line.accept();
      for (const order of [lost, unsent]) {
        await payment.stands(order, 'refunded');
        expect(await payment.payments(order)).toMatchObject([{ status: 'refunded' }]);
      }
    });

    test('nothing of another amount than was charged', async () => {
      const order = newOrder();
      await payment.charge(order);
      expect((await payment.refund(order, 1)).status).toBe(422);
      expect((await payment.find(order)).charge.status).toBe('succeeded');
    });

    test('what the provider has given back already, when its answer was lost', async () => {
      const order = newOrder();
      await payment.charge(order);
      payment.line.stall('down');
      const answer = payment.refund(order);
      await until('given back', async () => (await payment.payments(order))[0]?.status === 'refunded');
      payment.line.cut();
      expect((await answer).status).toBe(202);
      payment.line.flow();
      expect(await payment.refund(order)).toMatchObject({ status: 200, charge: { status: 'refunded' } });
    });
  });

  test('charges later, unasked, what it could not charge because the provider was away', async () => {
    const orders = [newOrder(), newOrder()];
    payment.line.refuse();
    payment.line.cut();
    for (const order of orders) expect((await payment.charge(order)).status).toBe(202);
    payment.line.accept();
    for (const order of orders) await payment.stands(order, 'succeeded');
    expect(await payment.payments(orders[0]!)).toHaveLength(1);
  });
});
