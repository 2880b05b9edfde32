/**
 * The shop's tables, and its connections to them. The provider has a database of its own, and neither sees the other's: what
 * they share is the wire.
 */
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { createTables } from './database.ts';

/** The secrets alone (registration.ts), for whoever takes webhooks and has tables of his own beside. */
export const SECRETS_SCHEMA = `
  create schema if not exists shop;
  create table if not exists shop.secrets (
    secret text primary key,
    provider text not null,
    endpoint text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz                         -- null: until it is rotated
  );`;

/** In a schema of their own: the database may be somebody else's. The lock keeps two shops that start at once from creating
 *  the same table twice; one query text is one transaction, so it is held to the end. */
const SCHEMA = `
  select pg_advisory_xact_lock(hashtextextended('patterns: shop', 0));
  ${SECRETS_SCHEMA}

  -- Events that have been accepted: the row is the promise that was given with the 2xx.
  create table if not exists shop.inbox (
    id text primary key,                           -- the webhook-id: the second one finds its place taken
    event jsonb not null,
    source text not null,                          -- delivered, or found by reconciliation
    received_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    attempts int not null default 0,
    outcome text,                                  -- null while it waits; then done, or set-aside
    settled_at timestamptz,
    reason text                                    -- why the last attempt failed
  );
  create index if not exists inbox_due on shop.inbox (due_at) where outcome is null;

  -- What the events are about: the newest state that is known of each payment.
  create table if not exists shop.orders (
    payment text primary key,
    version int not null,
    status text not null,
    amount bigint not null,
    at timestamptz not null                        -- of the event; the timestamp variant in naive.ts goes by it
  );

  -- The effect that must happen once per event. No unique key guards it: if it happened twice, it would show.
  create table if not exists shop.ledger (
    id bigint generated always as identity primary key,
    event text not null,
    payment text not null,
    change bigint not null
  );

  create table if not exists shop.reconciliations (
    provider text primary key,
    cursor text not null
  );`;

/** Creates the tables unless they are there. */
export function createShop(url: string): Promise<void> {
  return createTables(url, SCHEMA);
}

/** The database of a shop run by hand: DATABASE_URL, or else one of its own, gone when `stack` is disposed. */
export async function openShop(
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<{ databaseUrl: string; isThrownAway: boolean }> {
  const given = process.env.DATABASE_URL;
  if (!given) {
    const postgres = stack.use(await findPostgres({ progress: console.log, signal }));
    console.log(postgres.about);
    const { url } = stack.use(await createDatabase(postgres.url, 'shop'));
    await createShop(url);
    return { databaseUrl: url, isThrownAway: true };
  }
  await createShop(given);
  return { databaseUrl: given, isThrownAway: false };
}
