/**
 * What the order service hears from the kitchen and the couriers, and what becomes of it.
 */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import type { Log } from '@patterns/kit/log';
import type { Database } from '../chassis/database.ts';
import { changeState, findOrder, type Order } from './orders.ts';
import { type Limits, SAGA, type Word } from './saga.ts';
import { dueInMs } from './saga-runner.ts';

export interface Heard {
  readonly order: string;
  readonly type: Word;
  readonly reason?: string;
}

// #region hear
/**
 * Does what a word leads to, once, however often it comes and in whichever order: in a state in which it leads nowhere, it is late
 * or said already.
 * @param traceparent of the span that heard it.
 * @returns the order, when it was moved.
 */
export function hear(
  { database, limits, log }: { database: Database; limits: Limits; log: Log },
  { order: id, type, reason }: Heard,
  traceparent: string,
): Promise<Order | undefined> {
  return inTransaction(database, async (client) => {
    const order = await findOrder(client, id, { lock: true }); // two words of one order wait for each other
    const to = order && SAGA[order.state].hears?.[type];
    if (to) return await changeState(client, order, { to, reason, dueInMs: dueInMs(to, limits), traceparent });
    log.debug('heard, and nothing to do', { order: id, type, state: order?.state });
    return undefined;
  });
}
// #endregion
