import { requirePostgres } from '@patterns/services/testing';
import { describe, expect, test } from 'vitest';
import { readEvent } from '../protocol.ts';
import { openProvider, openReceiver, type Provider } from './provider-stage.ts';

async function pay({ url }: Provider, body: object, headers: Record<string, string>) {
  const response = await fetch(`${url}/payments`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as { payment: string; reference?: string } };
}

requirePostgres()('a payment that is asked for twice', () => {
  describe('with an Idempotency-Key', { concurrent: true }, () => {
    test('is made once, and answered as it was the first time, though it has been refunded since', async () => {
      await using provider = await openProvider();
      const order = { amount: 4200, reference: 'order-1' };
      const ask = () => pay(provider, order, { 'Idempotency-Key': '"order-1"' });
      const [first, ...others] = await Promise.all([ask(), ask(), ask(), ask()]);
      expect(first).toMatchObject({ status: 201, body: { ...order, version: 1, status: 'succeeded' } });
      await provider.post(`/payments/${first!.body.payment}/refund`);
      for (const again of [...others, await ask()]) expect(again).toEqual(first);
      expect(await provider.query('select from provider.payments')).toHaveLength(1);
      expect(await provider.query('select from provider.events')).toHaveLength(2);
    });

    test('is refused when it is another one, and when the key is malformed', async () => {
      await using provider = await openProvider();
      const key = { 'Idempotency-Key': 'k' };
      await pay(provider, { amount: 1 }, key);
      expect((await pay(provider, { amount: 2 }, key)).status).toBe(422);
      expect((await pay(provider, { amount: 1, reference: 'r' }, key)).status).toBe(422);
      for (const malformed of ['"', 'a b', 'x'.repeat(129)]) {
        expect((await pay(provider, { amount: 1 }, { 'Idempotency-Key': malformed })).status, malformed).toBe(400);
      }
      for (const reference of ['', 'x'.repeat(65), 5]) {
        expect((await pay(provider, { amount: 1, reference }, {})).status).toBe(400);
      }
      expect(await provider.query('select from provider.payments')).toHaveLength(1);
    });
  });

  test('is told with its reference and the trace of whoever asked', async () => {
    await using provider = await openProvider();
    await using receiver = await openReceiver(204);
    await provider.register(receiver.url);
    await using _dispatcher = provider.dispatch();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const { body } = await pay(provider, { amount: 5, reference: 'order-2' }, { traceparent });
    const told = await receiver.webhooks.next();
    expect(told.headers).toMatchObject({ traceparent });
    expect(readEvent(JSON.parse(told.body.toString()))).toMatchObject({ data: body });
    await pay(provider, { amount: 6 }, { traceparent: 'no trace' });
    const other = await receiver.webhooks.next();
    expect(other.headers).not.toHaveProperty('traceparent');
    expect(JSON.parse(other.body.toString()).data).not.toHaveProperty('reference');
  });
});
