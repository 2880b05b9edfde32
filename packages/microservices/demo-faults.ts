/**
 * The faults of the demo's second half, one a function. Each returns how many orders it can tell of; whether they came out well, the
 * audit says in the end.
 */
import type { Stage } from '@patterns/kit/demo';
import type { DemoTown } from './demo-town.ts';
import type { Answered, Flow } from './flow.ts';

/** So many are waited for in each scene: one may be chance. */
const SOME = 3;

const isPaid = ({ order }: Answered) => order.state === 'paid';

/** @returns how many orders were paid meanwhile. */
export async function killNotification({ story }: Stage, town: DemoTown, flow: Flow): Promise<number> {
  story.fault('notification is killed with -9');
  await town.town.kill('notification');
  const paid = (await flow.more(SOME, isPaid)).length;
  story.act('payment', `does not notice: ${paid} more orders are paid, and wait in the queue to be told`);
  await town.town.start('notification');
  const charged = await town.count(
    'payment',
    `select count(*)::int as n from payment.charges where status = 'succeeded'`,
  );
  await town.wait('all are told', async () => (await told(town)) >= charged);
  story.act('notification', `is back, and has caught up: ${await told(town)} messages`);
  return paid;
}

const told = (town: DemoTown) =>
  town.count('notification', `select count(*)::int as n from notification.messages where what = 'succeeded'`);

/** @returns how many payments were made that payment knew nothing of when it died. */
export async function killPayment({ story }: Stage, town: DemoTown, flow: Flow): Promise<number> {
  const { toProvider, webhooks } = town.lines;
  story.fault("the provider's answers and webhooks are held up");
  toProvider.stall('down');
  webhooks.stall();
  const taken = () => town.count('provider', 'select count(*)::int as n from provider.payments');
  const known = () => town.count('payment', 'select count(*)::int as n from payment.charges where payment is not null');
  await town.wait('charged, and not answered', async () => (await taken()) >= (await known()) + 3);
  await town.town.kill('payment');
  const between = (await taken()) - (await known());
  story.fault(`payment is killed with -9, between charge and answer: of ${between} charges it knows nothing`);
  for (const line of [toProvider, webhooks]) {
    line.cut();
    line.flow();
  }
  await town.town.start('payment');
  await town.wait('all charges are known', async () => (await taken()) === (await known()));
  await flow.more(SOME, isPaid);
  story.act('payment', 'is back; the sagas have asked again, for the same orders, and the provider has remembered');
  return between;
}

/** @returns how many orders were answered at once while the breaker was open. */
export async function slowPayment({ story }: Stage, town: DemoTown, flow: Flow): Promise<number> {
  story.fault('payment gets slow: three seconds for every answer');
  town.lines.toPayment.delay(3_000);
  const first = await flow.more(1, ({ order }) => order.state === 'awaiting-payment');
  story.wire('gateway', 'customer', `${first.at(-1)?.order.state}: ${first.at(-1)?.order.reason}`);
  await town.wait('the breaker is open', () => town.isBreakerOpen());
  const atOnce = await flow.more(SOME, ({ order }) => order.reason?.includes('left alone') ?? false);
  const times = atOnce.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  story.act(
    'order',
    `has opened its breaker: ${atOnce.length} orders are answered in ${Math.round(times[times.length >> 1]!)} ms (median)`,
  );
  story.wire('gateway', 'customer', `${atOnce.at(-1)?.order.state}: ${atOnce.at(-1)?.order.reason}`);
  town.lines.toPayment.delay(0);
  town.lines.toPayment.cut();
  await flow.more(SOME, isPaid);
  await town.wait('the breaker is closed', async () => !(await town.isBreakerOpen()));
  story.act('order', 'has tried one call, and closed the breaker; who waited is paid in the background');
  return atOnce.length;
}

/** @returns how many have logged in meanwhile. */
export async function killUser({ story }: Stage, town: DemoTown, flow: Flow): Promise<number> {
  story.fault('one of two user services is killed with -9');
  const before = flow.logins;
  await town.town.kill('user-1');
  await town.wait('some have logged in', () => flow.logins >= before + SOME);
  const logins = flow.logins - before;
  story.act('user', `${logins} customers log in at the other one, which will be alone from now on`);
  return logins;
}

/** @returns how many orders were taken without Redis. */
export async function restartRedis({ story }: Stage, town: DemoTown, flow: Flow): Promise<number> {
  story.fault('Redis is killed: no queue, no publish/subscribe, no feed');
  await town.redis.kill();
  const taken = (await flow.more(SOME, isPaid)).length;
  story.act('order', `${taken} orders are taken and paid; what is to be said waits in the outboxes`);
  await town.redis.restart();
  await town.wait('the kitchen cooks again', cooksMore(town, await tickets(town)));
  story.act('Redis', 'is back, and what waited goes on');
  return taken;
}

const tickets = (town: DemoTown) => town.count('kitchen', 'select count(*)::int as n from kitchen.tickets');
const cooksMore = (town: DemoTown, before: number) => async () => (await tickets(town)) > before + SOME / 2;

/** @returns how many connections were ended. */
export async function endConnections({ story }: Stage, town: DemoTown, flow: Flow): Promise<number> {
  const ended = await town.endConnections();
  story.fault(`PostgreSQL ends all ${ended} connections`);
  await flow.more(SOME, isPaid);
  story.act('PostgreSQL', 'has new ones: every pool has replaced what was broken');
  return ended;
}
