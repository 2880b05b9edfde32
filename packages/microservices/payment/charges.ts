/**
 * The charges: one row per order, and the changes that a row may make. Each change says from where it starts, so whoever comes
 * second (the provider's answer and its webhook tell the same thing) finds it made, and changes nothing. What the customer is to
 * be told is written in the same transaction: told with every change, and never without one.
 *
 *     pending ──► succeeded ──► refunding ──► refunded        declined, void: nothing was ever asked of the provider
 *        └──────────────────────────▲
 */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import { HttpProblem } from '@patterns/kit/problem';
import { newJob } from '@patterns/queues/job';
import { outbox } from '@patterns/queues/outbox';
import { SECRETS_SCHEMA } from '@patterns/webhooks/shop-database';
import type pg from 'pg';
import type { Database } from '../chassis/database.ts';
import { OUTBOX_SCHEMA } from '../chassis/outbox.ts';
import { NOTIFY, type Notification } from '../contracts/notification.ts';
import type { Charge, ChargeRequest, ChargeStatus } from '../contracts/payment.ts';

export const SCHEMA = `
  ${OUTBOX_SCHEMA}
  ${SECRETS_SCHEMA}
  create schema if not exists payment;
  create table if not exists payment.charges (
    order_id text primary key,                     -- one charge for an order, however many ask
    customer text not null,
    amount bigint not null,
    status text not null,
    reason text,
    payment text,                                  -- the provider's id, when it is known
    traceparent text,                              -- of whoever asked first: what is found out later belongs to his trace
    version int not null default 1,
    changed_at timestamptz not null default now()
  );
  create index if not exists charges_unsettled on payment.charges (changed_at) where status in ('pending', 'refunding');`;

export interface KnownCharge extends Charge {
  /** The provider's id, once it has told. */
  readonly payment?: string;
  /** Of the span in which it was first asked for. */
  readonly traceparent?: string;
}

/** Jobs that wait for a queue that is away: a quarter of an hour at a hundred payments a second. Money waits for no message. */
const writeOutbox = outbox(100_000);

interface Queries {
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<Row>>;
}

/**
 * Writes down that an order is to be charged, before anybody is asked, or finds what has become of it.
 * @throws {HttpProblem} 422 when it is another charge for the same order
 */
export async function openCharge(
  db: Queries,
  { order, customer, amount }: ChargeRequest,
  first: { status: ChargeStatus; reason?: string; traceparent: string | undefined },
): Promise<KnownCharge> {
  await db.query(
    `insert into payment.charges (order_id, customer, amount, status, reason, traceparent) values ($1, $2, $3, $4, $5, $6)
     on conflict do nothing`,
    [order, customer, amount, first.status, first.reason, first.traceparent],
  );
  const charge = (await findCharge(db, order))!;
  if (charge.amount === amount && charge.customer === customer) return charge;
  throw new HttpProblem(422, { detail: 'this order has another charge' });
}

/** An order that is to be undone: `void` when nobody has heard of it, and a charge that comes later finds that. @throws as above */
export async function openRefund(db: Queries, request: ChargeRequest, traceparent?: string): Promise<KnownCharge> {
  const known = await openCharge(db, request, { status: 'void', traceparent });
  if (known.status !== 'pending' && known.status !== 'succeeded') return known;
  await db.query(
    `update payment.charges set status = 'refunding', version = version + 1, changed_at = now()
      where order_id = $1 and status in ('pending', 'succeeded')`,
    [request.order],
  );
  return (await findCharge(db, request.order))!;
}

export interface Change {
  readonly from: readonly ChargeStatus[];
  readonly to: Notification['what'];
  readonly payment: string;
}

// #region settle
/**
 * Writes down what the provider has done, and the job that tells the customer, unless somebody else has: in one transaction.
 * @returns the charge as it is then; undefined when there is none
 */
export function settle(
  db: Database,
  order: string,
  { from, to, payment }: Change,
  traceparent: string | undefined,
): Promise<KnownCharge | undefined> {
  return inTransaction(db, async (client) => {
    const { rows } = await client.query<Row>(
      `update payment.charges set status = $3, payment = $4, version = version + 1, changed_at = now()
        where order_id = $1 and status = any($2) returning ${COLUMNS}`,
      [order, from, to, payment],
    );
    const changed = rows[0] && chargeOf(rows[0]);
    if (!changed) return await findCharge(client, order);
    const data: Notification = { order, customer: changed.customer, what: to, amount: changed.amount };
    await writeOutbox(client, [
      newJob({ id: `${order}:${to}`, kind: NOTIFY, data, ...(traceparent && { traceparent }) }),
    ]);
    return changed;
  });
}
// #endregion

export async function findCharge(db: Queries, order: string): Promise<KnownCharge | undefined> {
  const { rows } = await db.query<Row>(`select ${COLUMNS} from payment.charges where order_id = $1`, [order]);
  return rows[0] && chargeOf(rows[0]);
}

/** Charges of which nobody has known for `forMs` what the provider did, the oldest first. */
export async function listUnsettled(db: Queries, forMs: number, limit = 100): Promise<KnownCharge[]> {
  const { rows } = await db.query<Row>(
    `select ${COLUMNS} from payment.charges
      where status in ('pending', 'refunding') and changed_at <= now() - $1 * interval '1 ms' order by changed_at limit $2`,
    [forMs, limit],
  );
  return rows.map(chargeOf);
}

interface Row extends Omit<KnownCharge, 'reason' | 'payment' | 'traceparent'> {
  reason: string | null;
  payment: string | null;
  traceparent: string | null;
}
const COLUMNS = 'order_id as "order", customer, amount::float8 as amount, status, reason, payment, traceparent';

const chargeOf = ({ reason, payment, traceparent, ...row }: Row): KnownCharge => ({
  ...row,
  ...(reason === null ? {} : { reason }),
  ...(payment === null ? {} : { payment }),
  ...(traceparent === null ? {} : { traceparent }),
});
