/**
 * Payments: taken and answered at once. That the customer is told later, by somebody else, is a job, and it is written in the
 * same transaction as the payment: there is never one without the other.
 */
import { randomUUID } from 'node:crypto';
import { HttpProblem, methodNotAllowed } from '@patterns/kit/problem';
import { toTraceparent, traceOf } from '@patterns/kit/trace';
import express, { type Router } from 'express';
import type pg from 'pg';
import { transaction } from './database.ts';
import { type Job, newJob } from './job.ts';
import { type Notification, PAYMENT_BODY_BYTES, PAYMENTS_PATH, type PaymentStatus, parsePayment } from './protocol.ts';

export interface PaymentsOptions {
  pool: pg.Pool;
  /** Writes jobs in the transaction that is open on the client: into the outbox, or into a queue in the same database. */
  enqueueIn: (client: pg.PoolClient, jobs: readonly Job[]) => Promise<void>;
  /** Told after the commit. */
  onTaken?: () => void;
}

export function paymentsRouter({ pool, enqueueIn, onTaken = () => {} }: PaymentsOptions): Router {
  const router = express.Router();

  // #region pay
  router.post(PAYMENTS_PATH, express.json({ limit: PAYMENT_BODY_BYTES }), async (request, response) => {
    const { phone, amount } = parsePayment(request.body);
    const id = randomUUID();
    const data: Notification = { payment: id, phone, amount };
    // What one customer is told comes in the order of the payments, where the broker keeps it.
    const job = newJob({ kind: 'notify', key: phone, data, traceparent: toTraceparent(traceOf(response)) });
    await transaction(pool, async (client) => {
      await client.query('insert into shop.payments (id, phone, amount, at) values ($1, $2, $3, $4)', [
        id,
        phone,
        amount,
        job.at,
      ]);
      await enqueueIn(client, [job]); // when it is full it throws, and there is no payment either
    });
    onTaken();
    const status: PaymentStatus = { id, phone, amount, at: job.at, notified: null };
    response.status(201).location(`${PAYMENTS_PATH}/${id}`).json(status);
  });
  // #endregion
  router.all(PAYMENTS_PATH, methodNotAllowed('POST'));

  router.get(`${PAYMENTS_PATH}/:id`, async (request, response) => {
    const status = await findPayment(pool, request.params.id);
    response.set('Cache-Control', 'no-store').json(status);
  });
  router.all(`${PAYMENTS_PATH}/:id`, methodNotAllowed('GET, HEAD'));
  return router;
}

/** @throws {HttpProblem} 404 when there is no such payment. */
async function findPayment(pool: pg.Pool, id: string): Promise<PaymentStatus> {
  // What is not a UUID is not there either; PostgreSQL would call it an error.
  const { rows } = UUID.test(id)
    ? await pool.query<PaymentStatus>(
        `select id, phone, amount, at, (select min(m.at) from shop.messages m where m.payment = p.id) as notified
         from shop.payments p where id = $1`,
        [id],
      )
    : { rows: [] };
  if (!rows[0]) throw new HttpProblem(404, { detail: 'there is no such payment' });
  return rows[0];
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
