/**
 * A queue as every introduction uses it, runnable beside the sound one, on the same brokers. It works, while nothing fails:
 *  - the payment and its job are written one after the other: when the queue is full or away, the customer was charged, is
 *    answered 500, and pays once more;
 *  - the worker acknowledges a job as soon as it has it: one that dies takes the job with it;
 *  - what fails is tried again at once, for ever: one job that can never be done keeps the worker busy, and all who wait behind
 *    it waiting;
 *  - nothing remembers what was done: what is delivered twice is done twice;
 *  - no depth is watched, no job can be found again that failed, and on SIGTERM the one in hand is lost.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import type pg from 'pg';
import { chosenBroker, findBackends, openQueues } from './backends.ts';
import { openDatabase } from './database.ts';
import { newJob } from './job.ts';
import { type Notification, PAYMENTS_PATH } from './protocol.ts';
import type { Queue } from './queue.ts';

export async function startNaiveServer({ pool, queue, port }: { pool: pg.Pool; queue: Queue; port?: number }) {
  const app = express();
  app.use(express.json());
  app.post(PAYMENTS_PATH, async (req, res) => {
    const { phone, amount } = req.body;
    const id = randomUUID();
    await pool.query('insert into shop.payments (id, phone, amount) values ($1, $2, $3)', [id, phone, amount]);
    await queue.enqueue([newJob({ kind: 'notify', data: { payment: id, phone, amount } })]);
    res.status(201).json({ id, phone, amount });
  });
  app.use(((_error, _req, res, _next) => res.status(500).end()) as express.ErrorRequestHandler);
  return listen(createServer(app), { port });
}

export async function naiveWorker({
  pool,
  queue,
  send,
}: {
  pool: pg.Pool;
  queue: Queue;
  send: (to: Notification) => Promise<void>;
}) {
  for (;;) {
    const [delivery] = await queue.take({ limit: 1, leaseMs: 30_000 });
    if (!delivery) continue;
    await queue.settle([{ delivery, as: 'done' }]); // acknowledged, so that it does not come twice
    const { payment, phone, amount } = delivery.job.data as Notification;
    for (let isSent = false; !isSent; ) {
      try {
        await send({ payment, phone, amount });
        isSent = true;
      } catch {
        // Whatever it was, try again.
      }
    }
    await pool.query('insert into shop.messages (payment, phone, text) values ($1, $2, $3)', [
      payment,
      phone,
      `You paid ${amount / 100}.`,
    ]);
  }
}
