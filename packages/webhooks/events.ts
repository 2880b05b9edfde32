/**
 * The events: written once, as the bytes that are sent; read by dispatchers, which make deliveries of them, and by consumers
 * who ask what they have missed.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Pool, PoolClient } from 'pg';
import type { EventPage, EventType, PaymentEvent, PaymentState } from './protocol.ts';
import { newId } from './provider-ids.ts';

/** Dispatchers listen here. It wakes them up and says nothing: who misses it finds the event at the next look. */
export const NEW_EVENTS = 'provider_events';

/** Writes an event, in the transaction of the change that it tells of. */
export async function appendEvent(client: PoolClient, type: EventType, data: PaymentState): Promise<PaymentEvent> {
  const event: PaymentEvent = { id: newId('evt'), type, at: new Date().toISOString(), data };
  await client.query('insert into provider.events (id, type, body, at) values ($1, $2, $3, $4)', [
    event.id,
    type,
    JSON.stringify(event),
    event.at,
  ]);
  await client.query(`notify ${NEW_EVENTS}`); // sent with the commit, and dropped with a rollback
  return event;
}

// #region fan-out
/**
 * Makes a delivery of each new event for each endpoint that wants it. Any number of dispatchers may do so at once.
 * @returns how many events it took.
 */
export async function fanOut(pool: Pool, limit = 500): Promise<number> {
  const { rows } = await pool.query<{ events: number }>(
    `with taken as (
       update provider.events set is_fanned_out = true
        where id in (select id from provider.events where not is_fanned_out order by seq limit $1 for update skip locked)
       returning id, type, seq
     ), made as (
       insert into provider.deliveries (event, endpoint)
       select taken.id, endpoints.id from taken join provider.endpoints
           on endpoints.disabled_because is null and (endpoints.types is null or taken.type = any(endpoints.types))
        order by seq
     )
     select count(*)::int as events from taken`,
    [limit],
  );
  return rows[0]!.events;
}
// #endregion

// #region reconciliation
/**
 * What has happened after the cursor, in an order in which nothing appears later in front of it.
 *
 * Numbers from a sequence are given out before the commit: number 8 may be there while 7 is not yet, and whoever goes on from 8
 * never sees 7. So events are ordered by their transaction first, and shown once no older transaction is under way.
 *
 * @throws {HttpProblem} 400 when it is no cursor.
 */
export async function listEvents(pool: Pool, after: string | undefined, limit: number): Promise<EventPage> {
  const [, xid = '0', seq = '0'] = /^(\d{1,19})-(\d{1,18})$/.exec(after || '0-0') ?? refuse();
  const { rows } = await pool.query<{ xid: string; seq: string; body: string }>(
    `select xid, seq, body from provider.events
      where (xid, seq) > ($1::xid8, $2::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
      order by xid, seq limit $3`,
    [xid, seq, limit],
  );
  const last = rows.at(-1);
  return { events: rows.map(({ body }) => JSON.parse(body)), next: last ? `${last.xid}-${last.seq}` : `${xid}-${seq}` };
}
// #endregion

function refuse(): never {
  throw new HttpProblem(400, {
    detail: 'the cursor is malformed',
    errors: [{ field: 'after', expected: 'what an earlier answer called next' }],
  });
}
