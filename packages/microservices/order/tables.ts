/**
 * The order service's own tables. Menu and idempotency keys are those of the pattern request-response.
 */
import { KEYS_TABLE } from '@patterns/request-response/idempotency';
import { DISHES_TABLE } from '@patterns/request-response/menu';
import { OUTBOX_SCHEMA } from '../chassis/outbox.ts';

/** Truffle is on the menu, and the kitchen is out of it: that is how an order is cancelled after it was paid. */
export const SCHEMA = `
  create schema if not exists restaurant;
  ${DISHES_TABLE}
  insert into restaurant.dishes values ('truffle', 'Truffle tagliolini', 4900) on conflict do nothing;
  ${KEYS_TABLE}
  ${OUTBOX_SCHEMA}
  create schema if not exists food;
  create table if not exists food.orders (
    id uuid primary key,
    customer text not null,
    items jsonb not null,
    address text not null,
    total int not null,
    state text not null,
    version int not null default 1,
    reason text,
    placed_at timestamptz not null default now(),
    -- Since when it is in this state.
    changed_at timestamptz not null default now(),
    -- When the saga is to look at it. While somebody does, it lies in the future: that is the lease.
    due_at timestamptz,
    -- Attempts in this state.
    attempts int not null default 0,
    -- The span that brought it here: what is done later belongs to its trace.
    traceparent text not null
  );
  create index if not exists orders_due on food.orders (due_at) where due_at is not null;`;
