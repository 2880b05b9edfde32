/**
 * The provider's tables, and its connections to them. The outbox is here: events stand beside their payments, so that one
 * transaction writes both, and deliveries beside the events, so that nothing is ever "sent" that cannot be found again.
 */
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { createTables } from './database.ts';

/** In a schema of their own: the database may be somebody else's. The lock keeps two programs that start at once from creating
 *  the same table twice; one query text is one transaction, so it is held to the end. */
const SCHEMA = `
  select pg_advisory_xact_lock(hashtextextended('patterns: provider', 0));
  create schema if not exists provider;

  create table if not exists provider.payments (
    id text primary key,
    amount bigint not null,
    status text not null,
    version int not null,
    reference text,                                  -- the shop's own word for it
    key text unique                                  -- the Idempotency-Key: the second one finds its place taken
  );

  -- The outbox, and what reconciliation reads.
  create table if not exists provider.events (
    id text primary key,
    type text not null,
    body text not null,                              -- the bytes that are signed and sent: written once, never encoded again
    at timestamptz not null,
    traceparent text,                                -- of the request that brought it about: sent along as it was given
    written bigint generated always as identity,
    position bigint unique                           -- null until it is fanned out (events.ts)
  );
  create index if not exists events_new on provider.events (written) where position is null;
  create sequence if not exists provider.positions;

  create table if not exists provider.endpoints (
    id text primary key,
    url text not null,
    types text[],                                    -- null: all
    secret text not null,
    previous_secret text,                            -- signs beside the other until then
    previous_until timestamptz,
    disabled_because text,                           -- null while it is enabled
    failing_since timestamptz,                       -- null when the last attempt succeeded
    rests_until timestamptz,                         -- it said that it is overloaded
    succeeded bigint not null default 0,             -- attempts
    failed bigint not null default 0,
    created_at timestamptz not null default now()
  );

  create table if not exists provider.deliveries (
    id bigint generated always as identity primary key,
    event text not null references provider.events on delete cascade,
    endpoint text not null references provider.endpoints on delete cascade,
    state text not null default 'pending',           -- then delivered, or dead
    attempts int not null default 0,
    due_at timestamptz not null default now(),       -- of the next attempt; while there is one, the end of its lease
    since timestamptz not null default now(),        -- in this state
    reason text,                                     -- why the last attempt failed
    unique (event, endpoint)
  );
  create index if not exists deliveries_due on provider.deliveries (endpoint, due_at) where state = 'pending';
  create index if not exists deliveries_dead on provider.deliveries (endpoint, id) where state = 'dead';`;

/** Creates the tables unless they are there. */
export function createProvider(url: string): Promise<void> {
  return createTables(url, SCHEMA);
}

/** The database of a provider run by hand: DATABASE_URL, or else one of its own, gone when `stack` is disposed. */
export async function openProvider(stack: AsyncDisposableStack, signal: AbortSignal): Promise<string> {
  let url = process.env.DATABASE_URL;
  if (!url) {
    const postgres = stack.use(await findPostgres({ progress: console.log, signal }));
    console.log(postgres.about);
    url = stack.use(await createDatabase(postgres.url, 'provider')).url;
  }
  await createProvider(url);
  return url;
}
