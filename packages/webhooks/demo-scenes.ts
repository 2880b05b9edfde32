/**
 * What happens in the demo, one fault a scene. Most are done to both versions alike; each returns what came of it.
 */
import { randomUUID } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import type { ChildProgram } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import type { Market } from './demo-stage.ts';
import { ENDPOINTS, ID_HEADER, type PaymentEvent, SIGNATURE_HEADER, TIMESTAMP_HEADER, WEBHOOKS } from './protocol.ts';
import { readSecret, sign } from './signature.ts';

/** What nobody has paid. */
const forgedEvent = (payment = 'pay_forged'): PaymentEvent => ({
  id: `evt_${randomUUID()}`,
  type: 'payment.succeeded',
  at: new Date().toISOString(),
  data: { payment, version: 1, amount: 999_900, status: 'succeeded' },
});

/** A payment, told and booked. @returns its id. */
export async function pay({ story }: Stage, market: Market): Promise<string> {
  const payment = await market.pay();
  await market.untilBooked(payment);
  story.act('shop', 'has booked it');
  return payment;
}

/** Somebody who knows the URL, and nothing else. @returns how much was booked for him, in payments. */
export async function forge({ story }: Stage, market: Market): Promise<number> {
  story.fault('somebody tells the shop that he has paid');
  const event = forgedEvent();
  await market.attack(JSON.stringify(event), { [ID_HEADER]: event.id });
  const booked = await market.booked(event.data.payment);
  story.act('shop', booked > 0 ? 'has booked it' : 'has booked nothing');
  return booked;
}

/** Somebody who has recorded a webhook, and changes its id. @returns how often the payment was booked in the end. */
export async function replayRenamed({ story }: Stage, market: Market, payment: string): Promise<number> {
  story.fault('a recorded webhook is sent again, under another id');
  const renamed = forgedEvent(payment);
  await market.attack(JSON.stringify(renamed), (await recorded(market, forgedEvent(payment), 1)).headers);
  const booked = await market.booked(payment);
  story.act('shop', `has booked it ${times(booked)}`);
  return booked;
}

/** A request as the provider signs it, made `ageSeconds` ago: what somebody has who recorded it then. */
export async function recorded(market: Market, event: PaymentEvent, ageSeconds: number) {
  const { rows } = await market.pool.query<{ secret: string }>('select secret from shop.secrets limit 1');
  const body = JSON.stringify(event);
  const timestamp = Math.floor(Date.now() / 1_000) - ageSeconds;
  const signature = rows[0] ? sign([readSecret(rows[0].secret)], event.id, timestamp, Buffer.from(body)) : '';
  return {
    body,
    headers: { [ID_HEADER]: event.id, [TIMESTAMP_HEADER]: `${timestamp}`, [SIGNATURE_HEADER]: signature },
  };
}

/** The same delivery ten times at once, straight to the shop. @returns how often it was booked. */
export async function deliverTenfold({ story }: Stage, market: Market): Promise<number> {
  story.fault('a delivery comes ten times in the same moment');
  const event = forgedEvent('pay_tenfold');
  const { body, headers } = await recorded(market, event, 0);
  const statuses = await market.unseen(() =>
    Promise.all(Array.from({ length: 10 }, () => market.attack(body, headers))),
  );
  story.wire('provider', 'shop', `10 × POST ${WEBHOOKS}  ${ID_HEADER}: ${event.id}`);
  story.wire('shop', 'provider', `${statuses.filter((status) => status === 200).length} × 200 OK`);
  await market.untilBooked(event.data.payment);
  const booked = await market.booked(event.data.payment);
  story.act('shop', `has booked it ${times(booked)}`);
  return booked;
}

/** The shop is killed when it has booked a payment and its answer is on the way. @returns the payment. */
export async function loseTheAnswer({ story }: Stage, market: Market, shop: ChildProgram): Promise<string> {
  market.line.stall('down');
  const payment = await market.pay();
  await market.untilBooked(payment);
  story.act('shop', 'has booked it, and its answer is on the way');
  story.fault('kill -9: the answer is lost, and what was in memory');
  await shop.kill('SIGKILL');
  market.line.cut();
  market.line.flow();
  return payment;
}

/** The first webhook of a payment has to be repeated, and meanwhile the second one arrives. @returns the status in the end. */
export async function reorder(
  { story }: Stage,
  market: Market,
  hasFailed: (payment: string) => Promise<unknown>,
): Promise<string> {
  story.fault('the line refuses one webhook, and lets the next one through');
  market.line.refuse();
  market.line.cut();
  const payment = await market.pay();
  await hasFailed(payment);
  market.line.accept();
  await market.refund(payment);
  await market.untilBooked(payment, 2);
  const status = await until('the order is known', async () => {
    const known = await market.status(payment);
    return known !== 'unknown' && known;
  });
  story.act('shop', `to the shop it is ${status}`);
  return status;
}

/** An endpoint that is disabled for a moment: what happens meanwhile is not repeated, nor dead, nor anywhere. */
export async function miss({ story }: Stage, market: Market): Promise<string[]> {
  const endpoint = `${ENDPOINTS}/${(await market.endpoint()).id}`;
  await market.json(`${endpoint}/disable`, {});
  story.fault('somebody disables the endpoint, two payments happen, and it is enabled again');
  const payments = [await market.pay(), await market.pay()];
  for (const each of payments) await market.eventOf(each); // they are in its books, and for nobody
  await market.json(`${endpoint}/enable`, {});
  return payments;
}

/** Sixty payments, and the secret exchanged among them. @returns how many verifications failed. */
export async function exchangeSecret({ story }: Stage, market: Market, shop: ChildProgram) {
  const before = market.refused();
  story.fault('the secret is exchanged, with 60 payments under way');
  const payments = await market.unseen(async () => {
    const made = Promise.all(Array.from({ length: 30 }, () => market.pay()));
    process.kill(shop.pid, 'SIGUSR2');
    await shop.line(/exchanged/);
    return [...(await made), ...(await Promise.all(Array.from({ length: 30 }, () => market.pay())))];
  });
  await market.unseen(() => market.untilAllBooked(payments));
  const failed = market.refused() - before;
  story.wire('provider', 'shop', `60 × POST ${WEBHOOKS}, some of them with two signatures`);
  story.wire('shop', 'provider', `${failed} × 401, the others 200 OK`);
  return failed;
}

export const times = (n: number) => (n === 1 ? 'once' : `${n} times`);
