/**
 * The consumers' URLs, and their secrets. A secret is shown once, when it is made, and never again.
 *
 * A rotation has an overlap: for a time the new and the old secret both sign, so that a consumer may change over whenever it
 * likes, on one server after the other, and no webhook fails meanwhile. (They lie here as they are. In production they are
 * encrypted with a key that the database does not have.)
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Pool } from 'pg';
import { inTransaction } from './database.ts';
import { DestinationError, type Destinations } from './destination.ts';
import { demand, EVENT_TYPES, type EventType, fieldsOf } from './protocol.ts';
import { newId } from './provider-ids.ts';
import { newSecret } from './signature.ts';

export interface Endpoint {
  readonly id: string;
  readonly url: string;
  /** Null: all. */
  readonly types: readonly EventType[] | null;
  readonly isEnabled: boolean;
  readonly disabledBecause: string | null;
  /** Null: the last attempt succeeded, or there was none. */
  readonly failingSince: string | null;
  /** Attempts, and the share of those that succeeded. */
  readonly succeeded: number;
  readonly failed: number;
  readonly successRate: number | null;
  readonly pending: number;
  readonly dead: number;
}

/** Registers a URL. @throws {HttpProblem} 400 when the body is not right, 422 when webhooks must not go there. */
export async function createEndpoint(pool: Pool, destinations: Destinations, body: unknown) {
  const { url, types = null } = fieldsOf(body, '');
  demand('/url', typeof url === 'string', 'the URL that webhooks are to be sent to');
  const isList = Array.isArray(types) && types.length > 0 && types.every((type) => EVENT_TYPES.includes(type));
  demand('/types', types === null || isList, `some of ${EVENT_TYPES.join(', ')}; or nothing, for all`);
  await destinations.check(url as string).catch((cause: Error) => {
    if (!(cause instanceof DestinationError)) throw cause;
    const errors = [{ field: '/url', expected: 'a public https:// URL' }];
    throw new HttpProblem(422, { detail: cause.message, errors, cause });
  });
  const secret = newSecret();
  const id = newId('ep');
  await pool.query('insert into provider.endpoints (id, url, types, secret) values ($1, $2, $3, $4)', [
    id,
    url,
    types,
    secret,
  ]);
  return { ...(await findEndpoint(pool, id)), secret };
}

export async function listEndpoints(pool: Pool, id?: string): Promise<Endpoint[]> {
  const { rows } = await pool.query<Endpoint>(
    `select id, url, types, disabled_because is null as "isEnabled", disabled_because as "disabledBecause",
            failing_since as "failingSince", succeeded::float8 as succeeded, failed::float8 as failed,
            succeeded::float8 / nullif(succeeded + failed, 0) as "successRate",
            (select count(*)::int from provider.deliveries where endpoint = endpoints.id and state = 'pending') as pending,
            (select count(*)::int from provider.deliveries where endpoint = endpoints.id and state = 'dead') as dead
       from provider.endpoints where $1::text is null or id = $1 order by created_at`,
    [id],
  );
  return rows;
}

/** @throws {HttpProblem} 404 */
export async function findEndpoint(pool: Pool, id: string): Promise<Endpoint> {
  const [endpoint] = await listEndpoints(pool, id);
  return endpoint ?? notThere();
}

/** With all that was to be delivered there. @throws {HttpProblem} 404 */
export async function deleteEndpoint(pool: Pool, id: string): Promise<void> {
  const { rowCount } = await pool.query('delete from provider.endpoints where id = $1', [id]);
  if (rowCount === 0) notThere();
}

/** From now on. What happened meanwhile is replayed when asked for (dead-letters.ts). @throws {HttpProblem} 404 */
export async function enableEndpoint(pool: Pool, id: string): Promise<Endpoint> {
  await pool.query(
    'update provider.endpoints set disabled_because = null, failing_since = null, rests_until = null where id = $1',
    [id],
  );
  return findEndpoint(pool, id);
}

/** Nothing is sent there any more, and what was under way is dead, with the same reason. No error when there is no such endpoint. */
export function disableEndpoint(pool: Pool, id: string, reason: string): Promise<void> {
  return inTransaction(pool, async (client) => {
    await client.query(
      'update provider.endpoints set disabled_because = $2 where id = $1 and disabled_because is null',
      [id, reason],
    );
    await client.query(
      `update provider.deliveries set state = 'dead', since = now(), reason = $2 where endpoint = $1 and state = 'pending'`,
      [id, reason],
    );
  });
}

/** Those of `ids` at which nothing has succeeded for longer than `afterMs`. */
export async function findLongFailing(pool: Pool, ids: readonly string[], afterMs: number): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `select id from provider.endpoints where id = any($1::text[]) and disabled_because is null
        and failing_since < now() - $2 * interval '1 ms'`,
    [ids, afterMs],
  );
  return rows.map(({ id }) => id);
}

/** A day: a consumer deploys within it. A week at most: as long as it lasts, a secret that has leaked is still good. */
const OVERLAP_SECONDS = 24 * 60 * 60;

// #region rotate
/**
 * Gives an endpoint a new secret. Both sign until the overlap is over; after a second rotation within it, the newest two.
 * @throws {HttpProblem} 400, 404
 */
export async function rotateSecret(pool: Pool, id: string, body: unknown) {
  const { overlapSeconds = OVERLAP_SECONDS } = fieldsOf(body ?? {}, '');
  const isWithin = Number.isSafeInteger(overlapSeconds) && (overlapSeconds as number) >= 0;
  demand('/overlapSeconds', isWithin && (overlapSeconds as number) <= 7 * OVERLAP_SECONDS, 'seconds, a week at most');
  const { rows } = await pool.query<{ secret: string; previousUntil: Date }>(
    `update provider.endpoints set secret = $2, previous_secret = secret, previous_until = now() + $3 * interval '1 second'
      where id = $1 returning secret, previous_until as "previousUntil"`,
    [id, newSecret(), overlapSeconds],
  );
  return rows[0] ?? notThere();
}
// #endregion

function notThere(): never {
  throw new HttpProblem(404, { detail: 'there is no such endpoint' });
}
