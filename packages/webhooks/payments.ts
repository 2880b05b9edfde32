/**
 * Payments, and what is told about them. Whatever changes a payment writes its event in the same transaction: the outbox.
 *
 * Sent at once instead, the webhook would tell of payments that are rolled back a moment later; sent after the commit, it would
 * be lost with a process that dies in between, and nobody would know that it is missing.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './database.ts';
import { appendEvent } from './events.ts';
import type { EventType, PaymentState } from './protocol.ts';
import { newId } from './provider-ids.ts';

// #region outbox
/** Takes a payment, and writes down that there is something to tell. When this resolves, both are committed. */
export function createPayment(pool: Pool, amount: number): Promise<PaymentState> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<PaymentState>(
      `insert into provider.payments (id, amount, status, version) values ($1, $2, 'succeeded', 1) returning ${STATE}`,
      [newId('pay'), amount],
    );
    return tell(client, 'payment.succeeded', rows[0]!);
  });
}
// #endregion

/** Gives all of it back. @throws {HttpProblem} 404 when there is no such payment, 409 when that was done before. */
export function refundPayment(pool: Pool, id: string): Promise<PaymentState> {
  return inTransaction(pool, async (client) => {
    // The row is locked from here to the commit: versions of one payment are given out one after the other.
    const { rows } = await client.query<PaymentState>(
      `update provider.payments set status = 'refunded', version = version + 1
        where id = $1 and status = 'succeeded' returning ${STATE}`,
      [id],
    );
    if (rows[0]) return tell(client, 'payment.refunded', rows[0]);
    await findPayment(client, id);
    throw new HttpProblem(409, { detail: 'the payment is refunded already' });
  });
}

async function tell(client: PoolClient, type: EventType, state: PaymentState): Promise<PaymentState> {
  await appendEvent(client, type, state);
  return state;
}

/** @throws {HttpProblem} 404 */
export async function findPayment(database: Pick<Pool | PoolClient, 'query'>, id: string): Promise<PaymentState> {
  const { rows } = await database.query<PaymentState>(`select ${STATE} from provider.payments where id = $1`, [id]);
  if (!rows[0]) throw new HttpProblem(404, { detail: 'there is no such payment' });
  return rows[0];
}

const STATE = 'id as payment, version, amount::float8 as amount, status';
