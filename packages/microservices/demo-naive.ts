/**
 * The demo's first half: the textbook's three services in a row, and what becomes of orders when one of them is away, is slow,
 * or is killed.
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

/** Customers of one scene. */
const CROWD = 10;
/** One before, one afterwards, and a crowd in each of the two scenes; who asks again still wants one meal. */
const MEALS = 2 + 2 * CROWD;
/** In cents. */
const TOTAL = 1_250;
/** Ten times what a process needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

export async function runNaive(stage: Stage): Promise<void> {
  const { story } = stage;
  const town = await openTown(stage);
  story.wire('customer', 'order', 'POST /orders');
  const statuses = await town.order(1);
  story.wire('order', 'customer', `${statuses[0]}, when the charge is made and the SMS is sent`);
  town.sumUp();

  story.fault('notification is killed');
  await town.programs.notification.kill();
  const first = await town.order(CROWD);
  story.wire('customer', 'order', `${CROWD} × POST /orders`);
  story.wire('order', 'customer', `${summary(first)}: payment could not reach notification`);
  const again = await town.order(CROWD);
  story.wire('customer', 'order', `${CROWD} × POST /orders: they see an error, and ask again`);
  story.wire('order', 'customer', summary(again));
  const away = await town.books();
  story.act('payment', `has taken ${away.charges - 1} payments for ${CROWD} meals; the SMS was all that was missing`);

  await town.start('notification');
  story.act('notification', 'is back, and has nothing to catch up with: nobody kept what it was to send');
  story.fault('payment does not answer any more');
  town.line.stall('down');
  const hanging = town.crowd(CROWD);
  await town.untilCharged(away.charges + CROWD);
  story.wire('customer', 'order', `${CROWD} × POST /orders`);
  const { answered } = hanging;
  story.act('order', `${answered} of ${CROWD} are answered: it waits as long as payment takes, with each of them`);
  story.fault('order is killed with -9, between the charge and writing it down');
  await town.programs.order.kill();
  town.line.cut();
  town.line.flow();
  await hanging.settled;
  await town.start('order');
  story.act('order', 'is back, and asks nobody what became of them');
  story.wire('customer', 'order', 'POST /orders');
  story.wire('order', 'customer', summary(await town.order(1)));

  story.fault('PostgreSQL ends all connections, as when it restarts');
  await town.endConnections();
  await Promise.all(Object.values(town.programs).map((program) => program.exited));
  story.act('order', 'has crashed, and so have the other two: nobody listened to the errors of their pools');

  const books = await town.books();
  story.measure('naive', {
    'meals ordered': MEALS,
    'paid, by the orders': books.paid,
    'charged, by the payments': books.charges,
    'charged in all': cents(books.charged),
    'of paid orders': cents(books.paid * TOTAL),
    'customers told': books.messages,
    'in no final state': books.unfinished,
  });
  const failed = [...first, ...again].filter((status) => status === 500).length;
  story.claim(
    `naive: without notification ${failed} of ${2 * CROWD} orders failed, and were charged`,
    failed === 2 * CROWD && away.charges === 1 + 2 * CROWD,
  );
  story.claim('naive: who asked again was charged twice', away.charges - 1 === 2 * CROWD);
  story.claim(`naive: with a payment service that hangs, ${CROWD - answered} of ${CROWD} orders hung`, answered === 0);
  story.claim(
    `naive: ${books.charges} charges for ${books.paid} paid orders: the money does not add up, and never will`,
    books.charged !== books.paid * TOTAL && books.unfinished === 3 * CROWD,
  );
}

/** Three processes, one database, and the line from order to payment. */
async function openTown({ story, signal, use }: Stage) {
  const postgres = use(await findPostgres({ signal }));
  const { url } = use(await createDatabase(postgres.url, 'naive_town'));
  const pool = new pg.Pool({ connectionString: url, max: 2, application_name: 'demo' });
  pool.on('error', () => {}); // unlike theirs
  use({ [Symbol.asyncDispose]: () => pool.end() });
  await pool.query(NAIVE_SCHEMA);
  let isShown = true;
  const wire = httpWire({ story, client: 'order', server: 'payment' });
  const onData: typeof wire.onData = (chunk, info) => isShown && wire.onData(chunk, info);
  const line = use(await startFaultProxy('http://127.0.0.1:1', { onData }));
  const notificationLine = use(await startFaultProxy('http://127.0.0.1:1'));
  const programs = {} as Record<NaiveService, ChildProgram>;
  const urls = {} as Record<NaiveService, string>;
  const next = { order: line.url, payment: notificationLine.url, notification: '' };

  const start = async (name: NaiveService) => {
    const env = { DATABASE_URL: url, NEXT_URL: next[name] };
    programs[name] = use(startProcess(new URL('naive.ts', import.meta.url), { args: [name], env, signal }));
    urls[name] = await programs[name].url(START_MS);
    if (name === 'payment') line.target(urls.payment);
    if (name === 'notification') notificationLine.target(urls.notification);
  };
  await Promise.all([start('order'), start('payment'), start('notification')]);

  const orderOnce = async (customer: string): Promise<number> => {
    const response = await fetch(`${urls.order}/orders`, {
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
    /** From now on what crosses the line is told in sums. */
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

const summary = (statuses: number[]) => `${statuses.length} × ${[...new Set(statuses)].join(', ')}`;
const cents = (amount: number) => (amount / 100).toFixed(2);
