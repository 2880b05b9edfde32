/**
 * The demo's second half: the sound version, under the faults of the first half and some more.
 */
import type { Stage } from '@patterns/kit/demo';
import * as scenes from './demo-scenes.ts';
import { openMarket } from './demo-stage.ts';
import { ENDPOINTS, PAYMENTS } from './protocol.ts';

/** A minute of the retry schedule becomes 300 ms. */
const TIME_FACTOR = '0.005';
/** The lease of a dispatcher that is killed is twice that. */
const TIMEOUT_MS = 2_500;

export async function runSound(stage: Stage): Promise<void> {
  const { story } = stage;
  const market = await openMarket(stage);
  const openProvider = () => {
    const env = {
      WEBHOOK_TIME_FACTOR: TIME_FACTOR,
      WEBHOOK_TIMEOUT_MS: `${TIMEOUT_MS}`,
      WEBHOOK_ALLOW: '127.0.0.1',
    };
    return market.openProvider('provider.ts', [], env);
  };
  const openShop = (env = {}) => market.openShop('consumer.ts', [market.api.url], env);
  const provider = await openProvider();
  let shop = await openShop();
  story.tryIt(`curl ${market.api.url}${PAYMENTS} -H 'Content-Type: application/json' -d '{ "amount": 4200 }'`);
  story.tryIt(`curl ${market.api.url}${ENDPOINTS}`);

  const payment = await scenes.pay(stage, market);
  const forged = await scenes.forge(stage, market);
  const event = await market.eventOf(payment);
  story.fault('a webhook that was recorded ten minutes ago is sent again, and then one of this moment');
  const old = await scenes.recorded(market, event, 600);
  const statuses = [await market.attack(old.body, old.headers)];
  const fresh = await scenes.recorded(market, event, 0);
  statuses.push(await market.attack(fresh.body, fresh.headers));
  const replayed = await scenes.replayRenamed(stage, market, payment);
  const tenfold = await scenes.deliverTenfold(stage, market);

  const answerLost = await scenes.loseTheAnswer(stage, market, shop);
  shop = await openShop({ BOOKING_MS: '1500' });
  story.act('shop', 'is back; its bookkeeping now takes a second and a half');
  await market.untilDelivered();

  const unfinished = await market.pay();
  await market.untilBusy();
  story.act('shop', 'has answered, and is in the middle of its bookkeeping');
  story.fault('kill -9, between claim and effect');
  await shop.kill();
  shop = await openShop();
  await market.untilBooked(unfinished);
  story.act('shop', 'is back, and has booked it');

  const status = await scenes.reorder(stage, market, await market.nextFailure());

  story.fault('the shop is killed, and two payments happen');
  await shop.kill();
  const hasFailed = await market.nextFailure();
  const late = [await market.pay(), await market.pay()];
  await hasFailed();
  story.fault('the provider is killed as well, before its retries');
  await provider.kill();
  [, shop] = await Promise.all([openProvider(), openShop()]);
  for (const each of late) await market.untilBooked(each);
  story.act('shop', 'has booked both');

  const missed = await scenes.miss(stage, market);
  const found = await market.command('reconcile.ts', [market.api.url], { SETTLE_MS: '0' });
  story.act('shop', `reconciles: ${found}`);
  for (const each of missed) await market.untilBooked(each);

  const failed = await scenes.exchangeSecret(stage, market, shop);
  const booked = async (payments: string[]) => (await Promise.all(payments.map(market.booked))).join(', ');
  story.measure('sound', {
    'forged: booked': forged,
    'recorded, sent again: booked': replayed,
    'ten at once: booked': tenfold,
    'answer lost, shop killed: booked': await market.booked(answerLost),
    'killed between claim and effect: booked': await market.booked(unfinished),
    'overtaken by its refund: the order is': status,
    'both killed: booked, of 2': late.length,
    'never delivered: booked, of 2': missed.length,
    'secret exchanged: failed, of 60': failed,
  });
  story.claim('sound: nobody but the provider was believed', forged === 0);
  story.claim('sound: a recorded webhook is refused when it is old', statuses[0] === 401);
  story.claim('sound: and changes nothing when it is not', statuses[1] === 200 && replayed === 1);
  story.claim('sound: ten deliveries at once were booked once', tenfold === 1);
  story.claim(
    'sound: killed with the answer on its way, or in mid-work: once',
    (await booked([answerLost, unfinished])) === '1, 1',
  );
  story.claim('sound: what came late left alone what was newer', status === 'refunded');
  story.claim(
    'sound: shop and provider killed, and what was to be told was told, once',
    (await booked(late)) === '1, 1',
  );
  story.claim(
    'sound: what was never delivered was found',
    (await booked(missed)) === '1, 1' && / 2 of them/.test(found),
  );
  story.claim('sound: the secret was exchanged, and no webhook failed', failed === 0);
}
