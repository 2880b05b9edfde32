/**
 * The notification service: tells a customer about a payment, through a gateway that is slow and cannot reach everybody.
 *
 * A queue delivers at least once: after a worker died, a lease ended or a relay was cut off, the same job comes again. So what
 * was done is remembered, by the job's id, and the remembering and the effect are one transaction: then "at least once" on the
 * way is exactly once in the table. (A real gateway is outside of every transaction of ours. It must be given the id, and
 * remember it in the same way.)
 */
import type pg from 'pg';
import type { JobContext } from './attempt.ts';
import type { Gateway } from './gateway.ts';
import type { Job } from './job.ts';
import { type Notification, parseNotification } from './protocol.ts';

export interface NotifierOptions {
  pool: pg.Pool;
  gateway: Gateway;
}

/** Makes the handler of the jobs `notify`. */
export function notifier({ pool, gateway }: NotifierOptions) {
  return async (job: Job, { signal }: Pick<JobContext, 'signal'>): Promise<void> => {
    const notification = parseNotification(job.data);
    await gateway(notification.phone, signal); // whoever loses the lease stops here: somebody else is at it
    await tellOnce(pool, job.id, notification);
  };
}

// #region once
/** One statement, so one transaction: both rows, or none. Whoever comes second finds the id taken, and writes nothing. */
async function tellOnce(pool: pg.Pool, job: string, { payment, phone, amount }: Notification): Promise<void> {
  await pool.query(
    `with first as (insert into shop.handled (job) values ($1) on conflict do nothing returning job)
     insert into shop.messages (payment, phone, text) select $2, $3, $4 from first`,
    [job, payment, phone, messageOf(amount)],
  );
}
// #endregion

export const messageOf = (amount: number): string => `You paid ${(amount / 100).toFixed(2)}.`;
