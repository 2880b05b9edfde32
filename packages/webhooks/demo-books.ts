/**
 * What the demo sees of the shop that it tells of: the ledger, the orders, and whether the shop is at work.
 */
import { until } from '@patterns/kit/testing/until';
import type { Pool } from 'pg';

/** Much longer than it takes: the machine may be busy with other things. */
const PATIENCE_MS = 30_000;

export function openBooks(pool: Pool, signal: AbortSignal) {
  const wait = (what: string, condition: () => Promise<boolean>) =>
    until(what, condition, { signal, withinMs: PATIENCE_MS });
  /** How often something was booked for a payment. */
  const booked = async (payment: string): Promise<number> => {
    return (await pool.query('select from shop.ledger where payment = $1', [payment])).rowCount ?? 0;
  };
  return {
    pool,
    booked,
    untilBooked: (payment: string, times = 1) =>
      wait(`${payment} is booked`, async () => (await booked(payment)) >= times),
    untilAllBooked: (payments: string[]) =>
      wait('all are booked', async () => {
        const { rowCount } = await pool.query('select from shop.ledger where payment = any($1)', [payments]);
        return rowCount === payments.length;
      }),
    /** What the shop believes. */
    async status(payment: string): Promise<string> {
      const { rows } = await pool.query<{ status: string }>('select status from shop.orders where payment = $1', [
        payment,
      ]);
      return rows[0]?.status ?? 'unknown';
    },
    /** Waits until the shop is in the middle of its bookkeeping. */
    untilBusy: () =>
      wait('the shop is at work', async () => {
        const sleeping = `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`;
        return ((await pool.query(sleeping)).rowCount ?? 0) > 0;
      }),
  };
}
