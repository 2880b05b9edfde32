/**
 * The couriers: each step of each one is due at a time that stands in the database, so that a courier whose process is killed goes
 * on in the next one from where it was, and several processes share the couriers.
 */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import { repeat } from '@patterns/kit/background';
import type { Log } from '@patterns/kit/log';
import type { Database } from '../chassis/database.ts';
import type { Dispatch } from './deliveries.ts';

/** Steps of one transaction. */
const BATCH = 100;
/** A route is ten steps long. */
const STEPS = 10;

/** Sends the couriers on their way until it is disposed. `onStep` hears that there is something to tell. */
export function sendCouriers(database: Database, dispatch: Dispatch, log: Log, onStep: () => void): AsyncDisposable {
  const step = async () => {
    if ((await moveOn(database, dispatch)) > 0) onStep();
  };
  return repeat(Math.max(1, dispatch.stepMs / 2), step, log);
}

/** @returns how many couriers have come nearer. */
async function moveOn(database: Database, { tell, report, stepMs, routeMetres }: Dispatch): Promise<number> {
  const stepMetres = Math.ceil(routeMetres / STEPS);
  return await inTransaction(database, async (client) => {
    const { rows } = await client.query<{ order: string; metres: number; traceparent: string }>(
      `update tracking.deliveries
          set metres = greatest(0, metres - $1),
              step_due_at = case when metres > $1 then now() + $2 * interval '1 ms' end
        where order_id in (select order_id from tracking.deliveries where step_due_at <= now()
                            order by step_due_at limit ${BATCH} for update skip locked)
        returning order_id as order, metres, traceparent`,
      [stepMetres, stepMs],
    );
    for (const { order, metres, traceparent } of rows) {
      await tell(client, `courier:${order}:${metres}`, { type: 'courier', order, metres }, traceparent);
      if (metres === 0) await report(client, order, 'delivered', traceparent);
    }
    return rows.length;
  });
}
