/**
 * The inbox over the months: what waits and what was set aside, for a person to look at; and what may be forgotten.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { Router } from 'express';
import type { Pool } from 'pg';

export interface InboxState {
  readonly waiting: number;
  /** How long the oldest one has waited: when this grows, the workers do not keep up, or are not there. */
  readonly oldestSeconds: number;
  /** Events that failed too often, the newest hundred. */
  readonly setAside: readonly { id: string; type: string; attempts: number; reason: string; at: Date }[];
}

export async function inboxState(pool: Pool): Promise<InboxState> {
  const { rows } = await pool.query<{ waiting: number; oldestSeconds: number }>(
    `select count(*)::int as waiting,
            coalesce(extract(epoch from now() - min(received_at)), 0)::float8 as "oldestSeconds"
       from shop.inbox where outcome is null`,
  );
  const { rows: setAside } = await pool.query<InboxState['setAside'][number]>(
    `select id, event->>'type' as type, attempts, reason, settled_at as at
       from shop.inbox where outcome = 'set-aside' order by settled_at desc limit 100`,
  );
  return { ...rows[0]!, setAside };
}

/** Has a worker try an event again that was set aside. @returns whether there is one with this id. */
export async function retry(pool: Pool, id: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update shop.inbox set outcome = null, settled_at = null, attempts = 0, due_at = now()
      where id = $1 and outcome = 'set-aside'`,
    [id],
  );
  return rowCount === 1;
}

/** The provider tries for three days, and a person there may send an event again weeks later. An id that is forgotten before
 *  makes an old event new. */
export const KEPT_DAYS = 60;

/** Forgets events that were done long ago. What waits or was set aside stays. Any number of processes may do so at once. */
export async function sweep(pool: Pool): Promise<void> {
  await pool.query(`delete from shop.inbox where outcome = 'done' and settled_at < now() - make_interval(days => $1)`, [
    KEPT_DAYS,
  ]);
}

/** `GET /inbox` and `POST /inbox/<id>/retry`: for the shop's own people. In production they are behind a login. */
export function inboxRoutes(pool: Pool, wake: () => void): Router {
  const routes = Router();
  routes.get('/inbox', async (_request, response) => {
    response.set('Cache-Control', 'no-store').json(await inboxState(pool));
  });
  routes.post('/inbox/:id/retry', async (request, response) => {
    if (!(await retry(pool, request.params.id))) throw new HttpProblem(404, { detail: 'it is not set aside' });
    wake();
    response.status(202).end();
  });
  return routes;
}
