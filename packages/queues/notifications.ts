/**
 * The notification service: tells a customer about a payment, by a gateway that is slow and not always there.
 *
 * A queue delivers at least once: after a worker died, a lease ended or a relay was cut off, the same job comes again. So what
 * was done is remembered, by the job's id, and the remembering and the effect are one transaction. Then "at least once" over
 * the line is exactly once in the table. (A real gateway is outside of every transaction of ours: it must be given the id, and
 * remember it in the same way.)
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Job } from './job.ts';
import { parseNotification } from './protocol.ts';

export interface NotifierOptions {
  pool: pg.Pool;
  /** How long the gateway takes for a message. */
  gatewayMs?: number;
  /** The beginning of those numbers that the gateway cannot reach: a job for one of them fails each time. */
  unreachable?: string;
}

/** Makes the handler of the jobs `notify`. */
export function notifier({ pool, gatewayMs = 200, unreachable = '' }: NotifierOptions) {
  return async (job: Job, { signal }: { signal: AbortSignal }): Promise<void> => {
    const { payment, phone, amount } = parseNotification(job.data);
    if (unreachable !== '' && phone.startsWith(unreachable)) throw new Error(`the gateway has no route to ${phone}`);
    await delay(gatewayMs, undefined, { signal }); // whoever loses the lease stops here: somebody else is at it
    const text = `You paid ${(amount / 100).toFixed(2)}.`;
    await tellOnce(pool, job.id, [payment, phone, text]);
  };
}

// #region once
/** One statement, so one transaction: both rows, or none. Who comes second finds the id taken, and writes nothing. */
async function tellOnce(pool: pg.Pool, job: string, message: [payment: string, phone: string, text: string]) {
  await pool.query(
    `with first as (insert into shop.handled (job) values ($1) on conflict do nothing returning job)
     insert into shop.messages (payment, phone, text) select $2, $3, $4 from first`,
    [job, ...message],
  );
}
// #endregion
