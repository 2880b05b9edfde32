/**
 * The kitchen's tickets: one for an order, whatever is said how often about it.
 *
 * When a dish is done is written down with the ticket, and is no timer: a kitchen that is killed in the middle, or another one that
 * stands at the same tickets, takes it off the stove all the same. What the kitchen says of a ticket is written with it.
 */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import type { PoolClient } from 'pg';
import type { Database } from '../chassis/database.ts';
import { OUTBOX_SCHEMA, writeOutbox } from '../chassis/outbox.ts';
import { KITCHEN_CHANNEL, type KitchenEvent, type OrderEvent } from '../contracts/events.ts';

export const SCHEMA = `
  ${OUTBOX_SCHEMA}
  create schema if not exists kitchen;
  create table if not exists kitchen.tickets (
    order_id uuid primary key,
    items jsonb not null,
    -- cooking, cooked, refused, discarded
    state text not null,
    done_at timestamptz not null,
    traceparent text not null
  );
  create index if not exists tickets_due on kitchen.tickets (done_at) where state = 'cooking';`;

export interface Kitchen {
  readonly database: Database;
  /** How long an order takes. */
  readonly cookMs: number;
  /** Dishes that there are none of. */
  readonly soldOut: ReadonlySet<string>;
}

// #region take
/** Takes an order, or refuses it: once. @returns whether there is something to say. */
export function takeOrder(
  { database, cookMs, soldOut }: Kitchen,
  { order, items }: OrderEvent,
  traceparent: string,
): Promise<boolean> {
  const missing = items.find(({ dish }) => soldOut.has(dish));
  return inTransaction(database, async (client) => {
    const { rowCount } = await client.query(
      `insert into kitchen.tickets values ($1, $2, $3, now() + $4 * interval '1 ms', $5) on conflict do nothing`,
      [order, JSON.stringify(items), missing ? 'refused' : 'cooking', cookMs, traceparent],
    );
    // Said already, or cancelled before it came.
    if (rowCount === 0) return false;
    const said = missing
      ? { type: 'refused' as const, reason: `${missing.dish} is sold out` }
      : { type: 'accepted' as const };
    await say(client, [{ order, ...said, traceparent }]);
    return true;
  });
}

/** The order is being cancelled: what there is of it is thrown away. Of one that has not come yet, it makes sure that it won't. */
export async function discardOrder(
  { database }: Kitchen,
  { order, items }: OrderEvent,
  traceparent: string,
): Promise<void> {
  await database.query(
    `insert into kitchen.tickets values ($1, $2, 'discarded', now(), $3)
     on conflict (order_id) do update set state = 'discarded' where tickets.state = 'cooking'`,
    [order, JSON.stringify(items), traceparent],
  );
}
// #endregion

// #region serve-up
/** Takes what is done off the stove; what another kitchen is taking at this moment is passed over. @returns how many orders. */
export function serveUp({ database }: Pick<Kitchen, 'database'>, limit = 20): Promise<number> {
  return inTransaction(database, async (client) => {
    const { rows } = await client.query<{ order: string; traceparent: string }>(
      `with done as (
         select order_id as "order" from kitchen.tickets where state = 'cooking' and done_at <= now()
         order by done_at limit $1 for update skip locked
       )
       update kitchen.tickets set state = 'cooked' from done where order_id = "order" returning "order", traceparent`,
      [limit],
    );
    await say(
      client,
      rows.map((row) => ({ ...row, type: 'cooked' })),
    );
    return rows.length;
  });
}
// #endregion

async function say(client: PoolClient, words: readonly (KitchenEvent & { traceparent: string })[]): Promise<void> {
  const events = words.map(({ traceparent, ...data }) => ({ id: `${data.order}:${data.type}`, data, traceparent }));
  await writeOutbox(
    client,
    events.map((event) => ({ channel: KITCHEN_CHANNEL, ...event })),
  );
}
