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
import { envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import type pg from 'pg';
import { asAssignments, chosenBroker, findBackends, openQueues } from './backends.ts';
import { openDatabase } from './database.ts';
import { type Gateway, gatewayFromEnv } from './gateway.ts';
import { newJob } from './job.ts';
import { messageOf } from './notifications.ts';
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

export async function naiveWorker({ pool, queue, gateway }: { pool: pg.Pool; queue: Queue; gateway: Gateway }) {
  for (;;) {
    const [delivery] = await queue.take({ limit: 1, leaseMs: 30_000 });
    if (!delivery) continue;
    await queue.settle([{ delivery, as: 'done' }]); // acknowledged, so that it does not come twice
    const { payment, phone, amount } = delivery.job.data as Notification;
    for (;;) {
      console.log(`sending to ${phone}`);
      try {
        await gateway(phone);
        break;
      } catch {
        // Whatever it was, try again.
      }
    }
    await pool.query('insert into shop.messages (payment, phone, text) values ($1, $2, $3)', [
      payment,
      phone,
      messageOf(amount),
    ]);
    console.log(`sent to ${phone}`);
  }
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const [broker, isWorker] = [chosenBroker(), process.argv.includes('work')];
    const found = isWorker ? {} : await findBackends(broker, stack, { signal });
    const env = { ...process.env, ...found };
    const pool = stack.adopt(await openDatabase(env.DATABASE_URL!), (pool) => pool.end());
    const { notifications: queue } = await openQueues(broker, stack, env);
    if (isWorker) return await naiveWorker({ pool, queue, gateway: gatewayFromEnv() });
    const server = stack.use(await startNaiveServer({ pool, queue, port: envPort() }));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: ${asAssignments(found)}pnpm -C packages/queues naive work --broker ${broker}`);
  });
}
