/**
 * The stage of the demo's first half: three processes of the textbook, one database, and the lines between them.
 */
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import pg from 'pg';
import { NAIVE_SCHEMA, type NaiveService } from './naive.ts';

/** What everybody orders, in cents. */
export const TOTAL = 1_250;
/** Ten times what a process needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

/** Three processes, one database, and the line from order to payment. */
export async function openNaiveTown({ story, signal, use }: Stage) {
  const postgres = use(await findPostgres({ signal }));
  const { url } = use(await createDatabase(postgres.url, 'naive_town'));
  const pool = new pg.Pool({ connectionString: url, max: 2, application_name: 'demo' });
  pool.on('error', () => {}); // unlike theirs
  use({ [Symbol.asyncDispose]: () => pool.end() });
  await pool.query(NAIVE_SCHEMA);
  let isShown = true;
  const wire = httpWire({ story, client: 'customer', server: 'order' });
  const onData: typeof wire.onData = (chunk, info) => isShown && wire.onData(chunk, info);
  const front = use(await startFaultProxy('http://127.0.0.1:1', { onData }));
  const line = use(await startFaultProxy('http://127.0.0.1:1'));
  const notificationLine = use(await startFaultProxy('http://127.0.0.1:1'));
  const programs = {} as Record<NaiveService, ChildProgram>;
  const urls = {} as Record<NaiveService, string>;
  const next = { order: line.url, payment: notificationLine.url, notification: '' };

  const start = async (name: NaiveService) => {
    const env = { DATABASE_URL: url, NEXT_URL: next[name] };
    programs[name] = use(startProcess(new URL('naive.ts', import.meta.url), { args: [name], env, signal }));
    urls[name] = await programs[name].url(START_MS);
    if (name === 'order') front.target(urls.order);
    if (name === 'payment') line.target(urls.payment);
    if (name === 'notification') notificationLine.target(urls.notification);
  };
  await Promise.all([start('order'), start('payment'), start('notification')]);

  const orderOnce = async (customer: string): Promise<number> => {
    const response = await fetch(`${front.url}/orders`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ customer, total: TOTAL }),
      signal,
    });
    await response.text();
    return response.status;
  };
  return {
    programs,
    line,
    start,
    /** From now on what crosses is told in sums. */
    sumUp() {
      isShown = false;
    },
    /** @returns the statuses. */
    order: (n: number) => Promise.all(Array.from({ length: n }, (_, i) => orderOnce(`customer ${i}`))),
    /** As `order`, for those who may never get an answer. */
    crowd(n: number) {
      const crowd = { answered: 0, settled: Promise.resolve() as Promise<unknown> };
      const each = (i: number) => orderOnce(`customer ${i}`).then(() => crowd.answered++);
      crowd.settled = Promise.allSettled(Array.from({ length: n }, (_, i) => each(i)));
      return crowd;
    },
    untilCharged: (n: number) =>
      until(`${n} charges`, async () => (await pool.query('select from naive.charges')).rowCount === n, { signal }),
    endConnections: () =>
      pool.query(`select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name <> 'demo'`),
    async books() {
      const { rows } = await pool.query<Record<'paid' | 'unfinished' | 'charges' | 'charged' | 'messages', number>>(
        `select (select count(*) from naive.orders where status = 'paid')::int as paid,
                (select count(*) from naive.orders where status = 'placed')::int as unfinished,
                (select count(*) from naive.charges)::int as charges,
                (select coalesce(sum(amount), 0) from naive.charges)::int as charged,
                (select count(*) from naive.messages)::int as messages`,
      );
      return rows[0]!;
    },
  };
}
