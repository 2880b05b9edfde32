/**
 * The other side of naive.ts: payments in memory, and after each change a webhook, with the textbook's retries. `node naive.ts
 * <consumer url>` runs it.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Listening, listen } from '@patterns/kit/listen';
import express from 'express';
import { PAYMENTS, type PaymentEvent, WEBHOOKS } from './protocol.ts';

export interface NaiveProviderOptions {
  consumerUrl: string;
  port?: number;
  /** 15 s in production; what has not been answered by then is tried again. */
  timeoutMs?: number;
  /** The textbook's 1 m, 5 m, 30 m are multiplied by it. */
  timeFactor?: number;
}

/** Payments in memory, and a webhook after each change: fire, and in memory not quite forget. */
export function startNaiveProvider(options: NaiveProviderOptions): Promise<Listening> {
  const { consumerUrl, port, timeoutMs = 15_000, timeFactor = 1 } = options;
  const payments = new Map<string, PaymentEvent['data']>();

  async function announce(event: PaymentEvent): Promise<void> {
    for (const minutes of [1, 5, 30]) {
      try {
        const response = await fetch(consumerUrl + WEBHOOKS, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(event),
          signal: AbortSignal.timeout(timeoutMs),
        });
        if (response.ok) return;
      } catch {
        // Nobody was there, or too slow.
      }
      console.log(`${event.data.payment}: could not be delivered; again in ${minutes} min`);
      await delay(minutes * 60_000 * timeFactor);
    }
  }
  function change(data: PaymentEvent['data']): PaymentEvent['data'] {
    payments.set(data.payment, data);
    const event = {
      id: `evt_${randomUUID()}`,
      type: `payment.${data.status}` as const,
      at: new Date().toISOString(),
      data,
    };
    void announce(event);
    return data;
  }

  const app = express();
  app.post(PAYMENTS, express.json(), (req, res) => {
    res
      .status(201)
      .json(change({ payment: `pay_${randomUUID()}`, version: 1, amount: req.body.amount, status: 'succeeded' }));
  });
  app.post(`${PAYMENTS}/:id/refund`, (req, res) => {
    const paid = payments.get(req.params.id)!;
    res.json(change({ ...paid, version: 2, status: 'refunded' }));
  });
  return listen(createServer(app), { port });
}
