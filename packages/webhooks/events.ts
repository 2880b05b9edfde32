/**
 * The events: written once, as the bytes that are sent; read by dispatchers, which make deliveries of them, and by consumers
 * who ask what they have missed.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './database.ts';
import type { EventPage, EventType, PaymentEvent, PaymentState } from './protocol.ts';
import { newId } from './provider-ids.ts';

/** Dispatchers listen here. It wakes them up and says nothing: who misses it finds the event at the next look. */
export const NEW_EVENTS = 'provider_events';

/** Writes an event, in the transaction of the change that it tells of. */
export async function appendEvent(
  client: PoolClient,
  type: EventType,
  data: PaymentState,
  traceparent?: string,
): Promise<PaymentEvent> {
  const event: PaymentEvent = { id: newId('evt'), type, at: new Date().toISOString(), data };
  await client.query('insert into provider.events (id, type, body, at, traceparent) values ($1, $2, $3, $4, $5)', [
    event.id,
    type,
    JSON.stringify(event),
    event.at,
    traceparent,
  ]);
  await client.query(`notify ${NEW_EVENTS}`); // sent with the commit, and dropped with a rollback
  return event;
}

// #region fan-out
/**
 * Gives new events their positions, and makes a delivery of each for each endpoint that wants it. Any number of dispatchers may
 * come at once.
 *
 * Positions are given to what is committed, by one at a time: so nothing ever appears in front of a position that somebody has
 * read. A sequence in the payment's own transaction would not do: its numbers are given out before the commit, and number 8
 * may be there while 7 is not yet. Whoever then goes on from 8 never sees 7.
 *
 * @returns how many events it took.
 */
export async function fanOut(pool: Pool, limit = 500): Promise<number> {
  const { rowCount: isAnyNew } = await pool.query('select from provider.events where position is null limit 1');
  if (!isAnyNew) return 0;
  return inTransaction(pool, async (client) => {
    // Held until the positions are committed.
    await client.query(`select pg_advisory_xact_lock(hashtextextended('patterns: positions', 0))`);
    const { rows } = await client.query<{ events: number }>(
      `with new as (
         select id, nextval('provider.positions') as position
           from (select id from provider.events where position is null order by written limit $1) as oldest
       ), taken as (
         update provider.events set position = new.position from new where events.id = new.id
         returning events.id, type, new.position
       ), made as (
         insert into provider.deliveries (event, endpoint)
         select taken.id, endpoints.id from taken join provider.endpoints
             on disabled_because is null and (types is null or type = any(types))
          order by position
       )
       select count(*)::int as events from taken`,
      [limit],
    );
    return rows[0]!.events;
  });
}
// #endregion

/**
 * What has happened after the cursor, delivered or not. Nothing is missing in it when no dispatcher runs: it fans out itself.
 * @throws {HttpProblem} 400 when it is no cursor.
 */
export async function listEvents(pool: Pool, after = '0', limit = 100): Promise<EventPage> {
  if (!/^\d{1,18}$/.test(after)) {
    const errors = [{ field: 'after', expected: 'what an earlier answer called next' }];
    throw new HttpProblem(400, { detail: 'the cursor is malformed', errors });
  }
  await fanOut(pool);
  const { rows } = await pool.query<{ position: string; body: string }>(
    'select position, body from provider.events where position > $1 order by position limit $2',
    [after, limit],
  );
  return { events: rows.map(({ body }) => JSON.parse(body)), next: rows.at(-1)?.position ?? after };
}
