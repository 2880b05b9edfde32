/**
 * What could not be delivered: kept with its reason, to be looked at, and to be sent again when the consumer has been mended.
 * Nothing is sent again by itself: whoever asks for it knows that the fault is gone.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Pool } from 'pg';
import { NEW_EVENTS } from './events.ts';
import { demand, fieldsOf } from './protocol.ts';

export interface DeadLetter {
  readonly delivery: string;
  readonly event: string;
  readonly type: string;
  readonly attempts: number;
  readonly reason: string;
  /** When it was given up. */
  readonly since: string;
}

/** The newest first, 100 at most. */
export async function listDead(pool: Pool, endpoint: string): Promise<DeadLetter[]> {
  const { rows } = await pool.query<DeadLetter>(
    `select deliveries.id as delivery, event, type, attempts, reason, since
       from provider.deliveries join provider.events on events.id = event
      where endpoint = $1 and state = 'dead' order by deliveries.id desc limit 100`,
    [endpoint],
  );
  return rows;
}

/** Sends one again, even one that was delivered: the consumer tells by the id. @throws {HttpProblem} 404 */
export async function replayDelivery(pool: Pool, id: string): Promise<void> {
  const { rowCount } = await pool.query(`update provider.deliveries set ${ANEW} where id = $1`, [
    /^\d{1,18}$/.test(id) ? id : 0,
  ]);
  if (rowCount === 0) throw new HttpProblem(404, { detail: 'there is no such delivery' });
  await pool.query(`notify ${NEW_EVENTS}`);
}

// #region replay-range
/**
 * Sends what happened in `[since, until)` and did not arrive: what is dead, and what was never tried, because the endpoint was
 * disabled or not registered yet. What is under way is left alone, and what was delivered too.
 *
 * @returns how many deliveries that makes.
 * @throws {HttpProblem} 400
 */
export async function replayRange(pool: Pool, endpoint: string, body: unknown): Promise<number> {
  const { since, until = new Date().toISOString() } = fieldsOf(body, '');
  demand('/since', isDate(since), 'a date, as in RFC 3339');
  demand('/until', isDate(until), 'a date, as in RFC 3339; or nothing, for now');
  const { rowCount } = await pool.query(
    `insert into provider.deliveries (event, endpoint)
     select events.id, endpoints.id from provider.events, provider.endpoints
      where endpoints.id = $1 and at >= $2 and at < $3 and position is not null and (types is null or type = any(types))
      order by position
     on conflict (event, endpoint) do update set ${ANEW} where deliveries.state = 'dead'`,
    [endpoint, since, until],
  );
  await pool.query(`notify ${NEW_EVENTS}`);
  return rowCount ?? 0;
}
// #endregion

/** With all its attempts before it. */
const ANEW = `state = 'pending', attempts = 0, due_at = now(), since = now()`;

const isDate = (value: unknown) => typeof value === 'string' && !Number.isNaN(Date.parse(value));
