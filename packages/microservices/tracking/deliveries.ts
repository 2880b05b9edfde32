/**
 * What the couriers' dispatch knows of each order, one row for each, and what it does when it hears something new.
 *
 * Picking up a meal is the one step of an order that cannot be undone, so two have to agree before it happens: the kitchen says
 * that it is cooked, and the order service that the order stands (`cooking`: from there it is never cancelled). Which of the two
 * comes first does not matter, nor how often each comes.
 */
import type { PoolClient } from 'pg';
import type { Database } from '../chassis/database.ts';
import { type KitchenEvent, ORDERS_CHANNEL, type OrderEvent } from '../contracts/events.ts';
import type { Progress, State } from '../protocol.ts';

export const SCHEMA = `
  create schema if not exists tracking;
  create table if not exists tracking.deliveries (
    order_id text primary key,
    begins text not null,                    -- a cursor of the feed from before the order's first event
    ends text,                               -- that of its last one: who has seen it has seen everything
    version int not null default 0,          -- 0: somebody has asked, and the order service has not told of it yet
    state text,
    reason text,
    cooked boolean not null default false,
    picked_up boolean not null default false,
    metres int not null,                     -- to go
    step_due_at timestamptz,                 -- null: no courier is on the way
    traceparent text                         -- what sent the courier off
  );
  create index if not exists deliveries_due on tracking.deliveries (step_due_at) where step_due_at is not null;`;

/** What happened, and the trace that it belongs to. */
export type Tell = (client: PoolClient, name: string, progress: Progress, traceparent: string) => Promise<void>;
/** Puts a message for the order service into the outbox. */
export type Report = (
  client: PoolClient,
  order: string,
  type: 'picked-up' | 'delivered',
  traceparent: string,
) => Promise<void>;

export interface Dispatch {
  readonly tell: Tell;
  readonly report: Report;
  /** From the kitchen to the door. */
  readonly routeMetres: number;
  readonly stepMs: number;
}

export interface Heard<T> {
  readonly event: T;
  /** Of the span in which it is handled. */
  readonly traceparent: string;
  /** The feed's position before anything is told of it. */
  readonly position: string;
}

/** An order stands so now. What is not newer than what is known changes nothing, and is told to nobody. */
export async function hearOrder(
  client: PoolClient,
  { tell, report, routeMetres, stepMs }: Dispatch,
  { event: { order, state, version, reason }, traceparent, position }: Heard<OrderEvent>,
): Promise<void> {
  const { rowCount } = await client.query(
    `insert into tracking.deliveries as known (order_id, begins, metres, version, state, reason) values ($1, $2, $3, $4, $5, $6)
     on conflict (order_id) do update set version = excluded.version, state = excluded.state, reason = excluded.reason
      where known.version < excluded.version`,
    [order, position, routeMetres, version, state, reason],
  );
  if (rowCount === 0) return;
  const progress: Progress = { type: 'state', order, state, ...(reason === undefined ? {} : { reason }) };
  await tell(client, `${ORDERS_CHANNEL}:${order}:${version}`, progress, traceparent);
  if (state === 'cooking') await pickUp(client, report, order, traceparent);
  if (state !== 'on-the-way') return;
  await client.query(
    `update tracking.deliveries set step_due_at = now() + $2 * interval '1 ms', traceparent = $3
      where order_id = $1 and picked_up and metres > 0`,
    [order, stepMs, traceparent],
  );
}

/** The kitchen has something to say: here only the end of its work counts. */
export async function hearKitchen(
  client: PoolClient,
  { report, routeMetres }: Dispatch,
  { event: { order, type }, traceparent, position }: Heard<KitchenEvent>,
): Promise<void> {
  if (type !== 'cooked') return;
  await client.query(
    `insert into tracking.deliveries (order_id, begins, metres, cooked) values ($1, $2, $3, true)
     on conflict (order_id) do update set cooked = true`,
    [order, position, routeMetres],
  );
  await pickUp(client, report, order, traceparent);
}

// #region pick-up
/** Once, when both have been heard. Each has locked the row by then, so that one of them sees what the other has written. */
async function pickUp(client: PoolClient, report: Report, order: string, traceparent: string): Promise<void> {
  const { rowCount } = await client.query(
    `update tracking.deliveries set picked_up = true
      where order_id = $1 and cooked and state = 'cooking' and not picked_up`,
    [order],
  );
  if (rowCount === 1) await report(client, order, 'picked-up', traceparent);
}
// #endregion

/** What a stream has to know of its order. */
export interface Known {
  readonly begins: string;
  readonly ends: string | null;
  readonly state: State | null;
  readonly reason: string | null;
}

/**
 * Looks an order up. One that is not known yet is written down, from `position` on: its first event cannot slip through between
 * the look and the following, since whoever writes it waits for this row, or this for theirs.
 */
export async function lookUp(database: Database, order: string, position: string, routeMetres: number): Promise<Known> {
  const { rows } = await database.query<Known>(
    `insert into tracking.deliveries (order_id, begins, metres) values ($1, $2, $3)
     on conflict (order_id) do update set order_id = excluded.order_id
     returning begins, ends, state, reason`,
    [order, position, routeMetres],
  );
  return rows[0]!;
}
