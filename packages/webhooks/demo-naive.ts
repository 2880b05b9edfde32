/**
 * The demo's first half: the textbook version, under the same faults as the sound one.
 */
import type { Stage } from '@patterns/kit/demo';
import * as scenes from './demo-scenes.ts';
import { openMarket } from './demo-stage.ts';

/** A minute of the retry schedule becomes 1.8 s: long enough that a refund comes in between, however busy the machine is. */
const TIME_FACTOR = '0.03';

export async function runNaive(stage: Stage): Promise<void> {
  const { story } = stage;
  const market = await openMarket(stage);
  const openShop = () => market.openShop('naive.ts', [], { BOOKING_MS: '200' });
  const open = () => market.openProvider('naive.ts', [market.line.url], { WEBHOOK_TIME_FACTOR: TIME_FACTOR });
  let [provider, shop] = await Promise.all([open(), openShop()]);
  const failed = (payment: string) => provider.line((line) => line.startsWith(`${payment}: could not be delivered`));
  const payment = await scenes.pay(stage, market);
  const forged = await scenes.forge(stage, market);
  const replayed = await scenes.replayRenamed(stage, market, payment);
  const tenfold = await scenes.deliverTenfold(stage, market);

  const answerLost = await scenes.loseTheAnswer(stage, market, shop);
  shop = await openShop();
  story.act('shop', 'is back, and remembers nothing');
  await market.untilBooked(answerLost, 2);
  story.act('shop', 'has booked it twice');

  const status = await scenes.reorder(stage, market, failed);

  story.fault('the shop is killed, and two payments happen');
  await shop.kill();
  const lost = [await market.pay(), await market.pay()];
  await failed(lost[1] ?? '');
  story.fault('the provider is killed as well, before its retries');
  await provider.kill();
  await Promise.all([open(), openShop()]);
  const later = await scenes.pay(stage, market); // both are at work again, and nothing else comes
  const arrived = await Promise.all(lost.map((each) => market.booked(each)));
  story.act('shop', `has booked ${arrived.filter((n) => n > 0).length} of the two payments, and nobody will ever know`);

  story.measure('naive', {
    'forged: booked': forged,
    'recorded, sent again: booked': replayed,
    'ten at once: booked': tenfold,
    'answer lost, shop killed: booked': await market.booked(answerLost),
    'overtaken by its refund: the order is': status,
    'both killed: booked, of 2': arrived.filter((n) => n > 0).length,
  });
  story.claim('naive: whoever says that he has paid has paid', forged > 0);
  story.claim('naive: the same webhook under another id is another payment', replayed > 1);
  story.claim(`naive: ten deliveries at once were booked ${tenfold} times`, tenfold > 1);
  story.claim('naive: a restarted shop booked a payment again', (await market.booked(answerLost)) > 1);
  story.claim('naive: what came late undid what was newer', status === 'succeeded');
  story.claim('naive: two payments were never told', arrived.every((n) => n === 0) && later !== '');
}
