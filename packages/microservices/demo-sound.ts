/**
 * The demo's second half: first one order and its way through all services, then a steady flow of orders, and one fault after the
 * other. In the end the books of all services are laid side by side.
 */
import type { Stage } from '@patterns/kit/demo';
import { auditWhenOver } from './audit.ts';
import * as faults from './demo-faults.ts';
import { showOneOrder } from './demo-order.ts';
import { openDemoTown } from './demo-town.ts';
import { startFlow } from './flow.ts';

/** Enough that something is always under way, and little enough for two cores. */
const PER_SECOND = 4;

export async function runSound(stage: Stage): Promise<void> {
  const { story, signal, use } = stage;
  const town = await openDemoTown(stage);
  const trace = await showOneOrder(stage, town);

  story.act(
    'customer',
    `and more of them: ${PER_SECOND} a second, who log in and order; now and then what is sold out, or too dear`,
  );
  const flow = use(await startFlow(town.url, { perSecond: PER_SECOND, signal }));
  await flow.more(PER_SECOND);
  const away = await faults.killNotification(stage, town, flow);
  const between = await faults.killPayment(stage, town, flow);
  const slow = await faults.slowPayment(stage, town, flow);
  const user = await faults.killUser(stage, town, flow);
  const redis = await faults.restartRedis(stage, town, flow);
  const ended = await faults.endConnections(stage, town, flow);
  await flow.stop();

  story.act('customer', `${flow.answered.length} have ordered, and nobody else comes; what was begun is finished`);
  const ids = [trace.order, ...flow.answered.map(({ order }) => order.id)];
  const audit = await auditWhenOver(town.books, ids, { withinMs: 60_000, signal });
  const failed = (what: 'login' | 'order') => flow.failed.filter((each) => each.what === what);
  for (const { what, error } of flow.failed) story.act('customer', `a failed ${what}: ${error.message}`);
  for (const fault of audit.faults.slice(0, 10)) story.act('', fault);

  const { delivered = 0, rejected = 0, cancelled = 0 } = audit.states;
  story.measure('sound', {
    'meals ordered': ids.length,
    'paid, by the orders': delivered,
    'charged, by the payments': audit.kept,
    'charged in all': cents(audit.paid),
    'of paid orders': cents(audit.delivered),
    'messages to customers': audit.told,
    'in no final state': audit.orders - delivered - rejected - cancelled,
    'declined, or given back': rejected + cancelled,
    'logins that failed': failed('login').length,
    'orders that failed': failed('order').length,
    'asked twice, after an error': flow.repeated,
  });
  story.claim(`sound: ${trace.spans} spans of ${trace.services} services are one tree`, trace.isWhole);
  story.claim(`sound: ${away} orders were paid while notification was dead`, away > 0);
  story.claim(
    `sound: ${between} payments between charge and answer when payment died: none was charged twice`,
    between > 0,
  );
  story.claim(`sound: with a slow payment ${slow} orders were answered at once, as awaiting payment`, slow > 0);
  story.claim(
    `sound: ${user} logins with one of two user services dead, and none failed`,
    failed('login').length === 0,
  );
  story.claim(`sound: ${redis} orders were taken while Redis was dead`, redis > 0);
  story.claim(
    `sound: ${ended} connections to PostgreSQL were cut, and every order got an answer`,
    failed('order').length === 0,
  );
  story.claim(
    'sound: every order is in one final state, the money adds up, everybody was told once',
    audit.faults.length === 0,
  );
}

const cents = (amount: number) => (amount / 100).toFixed(2);
