/**
 * Who sends what next. A delivery is a row, and a dispatcher takes it by a lease: it moves the row's due time into the future,
 * in a statement of its own, so that no transaction is open while it waits for a consumer. A dispatcher that dies says nothing,
 * and its deliveries are simply due again.
 */
import type { Pool } from 'pg';
import type { Outcome } from './delivery.ts';

/** A delivery, for one attempt. */
export interface Claim {
  readonly id: string;
  /** From 1. It is also the fence: whoever lost the lease comes back with an old number. */
  readonly attempt: number;
  readonly endpoint: string;
  readonly url: string;
  /** Those valid now, the newest first. */
  readonly secrets: readonly string[];
  /** The event's id. */
  readonly event: string;
  readonly body: string;
  /** Null: nobody gave one. */
  readonly traceparent: string | null;
}

export interface ClaimOptions {
  /** Attempts that this dispatcher has under way, by endpoint. */
  inFlight: ReadonlyMap<string, number>;
  /** Of those, how many at most. */
  perEndpoint: number;
  /** How many more it can take in all. */
  limit: number;
  leaseMs: number;
}

// #region claim
/**
 * Takes what is due. Each endpoint has slots of its own, so one with a hundred thousand deliveries, or one that never answers,
 * takes nothing from the others. Where the last attempt failed, one at a time is enough to see whether that has changed.
 */
export async function claim(pool: Pool, { inFlight, perEndpoint, limit, leaseMs }: ClaimOptions): Promise<Claim[]> {
  const { rows } = await pool.query<Claim>(
    `with busy as (
       select * from unnest($1::text[], $2::int[]) as busy (endpoint, slots)
     ), free as (
       select endpoints.id, case when failing_since is null then $3::int else 1 end - coalesce(busy.slots, 0) as slots
         from provider.endpoints left join busy on busy.endpoint = endpoints.id
        where disabled_because is null and coalesce(rests_until <= now(), true)
     ), due as (
       select due.id from free cross join lateral (
         select id from provider.deliveries
          where endpoint = free.id and state = 'pending' and due_at <= now()
          order by due_at limit greatest(free.slots, 0) for update skip locked
       ) due order by random() limit $4
     ), claimed as (
       update provider.deliveries set attempts = attempts + 1, due_at = now() + $5 * interval '1 ms'
        where id = any(array(select id from due)) returning id, endpoint, event, attempts
     )
     select claimed.id, attempts as attempt, endpoint, url, event, body, traceparent,
            case when previous_until > now() then array[secret, previous_secret] else array[secret] end as secrets
       from claimed join provider.endpoints on endpoints.id = endpoint join provider.events on events.id = event`,
    [[...inFlight.keys()], [...inFlight.values()], perEndpoint, limit, leaseMs],
  );
  return rows;
}
// #endregion

export interface Settlement {
  readonly claim: Claim;
  readonly outcome: Outcome;
  /** Until the next attempt; undefined: there is none. */
  readonly waitMs?: number | undefined;
  /** For how long the endpoint gets nothing at all. */
  readonly restMs?: number | undefined;
}

// #region settle
/**
 * Writes down what became of attempts: any number of them in one statement. A success counts even when the lease was over: it
 * is a fact. A failure does not: somebody else is trying already.
 */
export async function settle(pool: Pool, settlements: readonly Settlement[]): Promise<void> {
  const [delivered, failed] = [
    settlements.filter(({ outcome }) => outcome.as === 'delivered'),
    settlements.filter(({ outcome }) => outcome.as !== 'delivered'),
  ];
  const endpoints = summarize(settlements);
  await pool.query(
    `with delivered as (
       update provider.deliveries set state = 'delivered', since = now(), reason = null
        where id = any($1::bigint[]) and state <> 'delivered'
     ), failed as (
       update provider.deliveries set reason = outcome.reason,
              due_at = now() + coalesce(outcome.wait_ms, 0) * interval '1 ms',
              state = case when outcome.wait_ms is null then 'dead' else 'pending' end,
              since = case when outcome.wait_ms is null then now() else since end
         from unnest($2::bigint[], $3::int[], $4::float8[], $5::text[]) as outcome (id, attempt, wait_ms, reason)
        where deliveries.id = outcome.id and deliveries.attempts = outcome.attempt and state = 'pending'
     ), locked as ( -- always in the same order: two dispatchers that settle at once must not wait for each other
       select id from provider.endpoints where id = any($6::text[]) order by id for update
     )
     update provider.endpoints set succeeded = succeeded + seen.successes, failed = failed + seen.failures,
            failing_since = case when seen.successes > 0 then null else coalesce(failing_since, now()) end,
            rests_until = greatest(rests_until, now() + seen.rest_ms * interval '1 ms')
       from locked join unnest($6::text[], $7::int[], $8::int[], $9::float8[]) as seen (id, successes, failures, rest_ms)
         on seen.id = locked.id
      where endpoints.id = locked.id`,
    [
      delivered.map(({ claim }) => claim.id),
      failed.map(({ claim }) => claim.id),
      failed.map(({ claim }) => claim.attempt),
      failed.map(({ waitMs }) => waitMs ?? null),
      failed.map(({ outcome }) => outcome.reason),
      endpoints.map(({ id }) => id),
      endpoints.map(({ successes }) => successes),
      endpoints.map(({ failures }) => failures),
      endpoints.map(({ restMs }) => restMs),
    ],
  );
}
// #endregion

function summarize(settlements: readonly Settlement[]) {
  const byEndpoint = Map.groupBy(settlements, ({ claim }) => claim.endpoint);
  return [...byEndpoint].map(([id, all]) => {
    const successes = all.filter(({ outcome }) => outcome.as === 'delivered').length;
    const rests = all.flatMap(({ restMs }) => restMs ?? []);
    return { id, successes, failures: all.length - successes, restMs: rests.length > 0 ? Math.max(...rests) : null };
  });
}
