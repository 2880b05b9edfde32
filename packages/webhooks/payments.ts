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
import type { EventType, PaymentRequest, PaymentState } from './protocol.ts';
import { newId } from './provider-ids.ts';

export interface Asked {
  /** Idempotency-Key: with the same one there is one payment, however often it is asked for. */
  readonly key?: string | undefined;
  /** Goes along with the webhook. */
  readonly traceparent?: string | undefined;
}

// #region outbox
/**
 * Takes a payment, and writes down that there is something to tell. When this resolves, both are committed.
 * @throws {HttpProblem} 422 when the key was used for another payment
 */
export function createPayment(
  pool: Pool,
  { amount, reference }: PaymentRequest,
  asked: Asked = {},
): Promise<PaymentState> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<PaymentRow>(
      `insert into provider.payments (id, amount, status, version, reference, key)
       values ($1, $2, 'succeeded', 1, $3, $4) on conflict (key) do nothing returning ${STATE}`,
      [newId('pay'), amount, reference, asked.key],
    );
    if (rows[0]) return tell(client, 'payment.succeeded', stateOf(rows[0]), asked);
    return firstAnswer(client, asked.key!, { amount, ...(reference === undefined ? {} : { reference }) });
  });
}
// #endregion

/** What the first request with this key was answered, whatever has become of the payment since. */
async function firstAnswer(client: PoolClient, key: string, request: PaymentRequest): Promise<PaymentState> {
  const { rows } = await client.query<PaymentRow>(`select ${STATE} from provider.payments where key = $1`, [key]);
  const first = stateOf(rows[0]!);
  if (first.amount !== request.amount || first.reference !== request.reference)
    throw new HttpProblem(422, { detail: 'this Idempotency-Key was used for another payment' });
  return { ...first, version: 1, status: 'succeeded' };
}

/** Gives all of it back. @throws {HttpProblem} 404 when there is no such payment, 409 when that was done before. */
export function refundPayment(pool: Pool, id: string, asked: Pick<Asked, 'traceparent'> = {}): Promise<PaymentState> {
  return inTransaction(pool, async (client) => {
    // The row is locked from here to the commit: versions of one payment are given out one after the other.
    const { rows } = await client.query<PaymentRow>(
      `update provider.payments set status = 'refunded', version = version + 1
        where id = $1 and status = 'succeeded' returning ${STATE}`,
      [id],
    );
    if (rows[0]) return tell(client, 'payment.refunded', stateOf(rows[0]), asked);
    await findPayment(client, id);
    throw new HttpProblem(409, { detail: 'the payment is refunded already' });
  });
}

async function tell(client: PoolClient, type: EventType, state: PaymentState, asked: Asked): Promise<PaymentState> {
  await appendEvent(client, type, state, asked.traceparent);
  return state;
}

/** @throws {HttpProblem} 404 */
export async function findPayment(database: Pick<Pool | PoolClient, 'query'>, id: string): Promise<PaymentState> {
  const { rows } = await database.query<PaymentRow>(`select ${STATE} from provider.payments where id = $1`, [id]);
  if (!rows[0]) throw new HttpProblem(404, { detail: 'there is no such payment' });
  return stateOf(rows[0]);
}

type PaymentRow = Omit<PaymentState, 'reference'> & { reference: string | null };
const STATE = 'id as payment, version, amount::float8 as amount, status, reference';
const stateOf = ({ reference, ...state }: PaymentRow): PaymentState =>
  reference === null ? state : { ...state, reference };
