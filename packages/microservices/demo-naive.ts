/**
 * The demo's first half: the textbook's three services in a row, and what becomes of orders when one of them is away, is slow,
 * or is killed.
 */
import type { Stage } from '@patterns/kit/demo';
import { openNaiveTown, TOTAL } from './demo-naive-town.ts';

/** Customers of one scene. */
const CROWD = 10;
/** One before, one afterwards, and a crowd in each of the two scenes; who asks again still wants one meal. */
const MEALS = 2 + 2 * CROWD;

export async function runNaive(stage: Stage): Promise<void> {
  const { story } = stage;
  const town = await openNaiveTown(stage);
  await town.order(1);
  story.act('order', 'has asked payment, which has asked notification; each has waited for the next one');
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
    'messages to customers': books.messages,
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

const summary = (statuses: number[]) => `${statuses.length} × ${[...new Set(statuses)].join(', ')}`;
const cents = (amount: number) => (amount / 100).toFixed(2);
