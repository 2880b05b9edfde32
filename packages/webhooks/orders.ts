/**
 * What an event does to the shop. Two kinds of effect, which need two kinds of care:
 *  - the ledger adds up: the order of the entries makes no difference, but each must be there once (inbox.ts sees to that);
 *  - the order's status is replaced: here twice is harmless, but an old event that comes late must not undo a newer one.
 */
import type { Pool, PoolClient } from 'pg';
import type { EventType, PaymentEvent } from './protocol.ts';

export interface Order {
  readonly payment: string;
  readonly version: number;
  readonly status: string;
  /** In cents. */
  readonly amount: number;
  /** What the ledger says about this payment, in cents: paid minus refunded. */
  readonly booked: number;
}

/**
 * Books an event, in the caller's transaction.
 * @param bookingMs how long that takes, on top. PostgreSQL sleeps that long: a slow effect, and a real one.
 */
export async function bookEvent(client: PoolClient, event: PaymentEvent, bookingMs = 0): Promise<void> {
  if (bookingMs > 0) await client.query('select pg_sleep($1)', [bookingMs / 1_000]);
  const { payment, amount } = event.data;
  await client.query('insert into shop.ledger (event, payment, change) values ($1, $2, $3)', [
    event.id,
    payment,
    CHANGE[event.type] * amount,
  ]);
  await applyVersion(client, event);
}

const CHANGE: Readonly<Record<EventType, 1 | -1>> = { 'payment.succeeded': 1, 'payment.refunded': -1 };

// #region version
/**
 * Takes over the state that an event carries, unless a newer one is known already.
 * @returns whether it was news.
 */
export async function applyVersion(client: PoolClient, { at, data }: PaymentEvent): Promise<boolean> {
  // The condition is part of the update: between a look and a write, another worker may have applied a newer version.
  const { rowCount } = await client.query(
    `insert into shop.orders as known (payment, version, status, amount, at) values ($1, $2, $3, $4, $5)
     on conflict (payment) do update
        set version = excluded.version, status = excluded.status, amount = excluded.amount, at = excluded.at
      where known.version < excluded.version`,
    [data.payment, data.version, data.status, data.amount, at],
  );
  return rowCount === 1;
}
// #endregion

/** The order of a payment; undefined when nothing has been heard of it. */
export async function findOrder(pool: Pool, payment: string): Promise<Order | undefined> {
  const { rows } = await pool.query<Order>(
    `select payment, version, status, amount::float8 as amount,
            (select coalesce(sum(change), 0)::float8 from shop.ledger where ledger.payment = orders.payment) as booked
       from shop.orders where payment = $1`,
    [payment],
  );
  return rows[0];
}
