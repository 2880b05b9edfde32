/** Positions in a topic: what is none, and what happens when the messages after one are gone. */
import { findKafka, type KafkaService } from '@patterns/services/kafka';
import { requireKafka } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connected, type KafkaRig, listen, say, startKafkaRig } from './kafka-rig.ts';

const kafka = await requireKafka();
/** Beyond what kafkajs tries before it gives up, on a machine with other things to do. */
const PATIENCE = { withinMs: 40_000 };

kafka.describe(`${kafka.name}: cursors`, () => {
  let service: KafkaService;
  beforeAll(async () => {
    service = await findKafka();
  });
  afterAll(() => service[Symbol.asyncDispose]());

  const each = { concurrent: true, timeout: 90_000 };

  test.each(['', '7', '0:1;1:2', '0:-1', '0:99'])('%j is no cursor', each, async (after) => {
    await using rig = await startKafkaRig(service);
    await say(rig, 'news', 1);
    const subscribed = (await rig.connect()).subscribe('news', () => {}, { after });
    await expect(subscribed).rejects.toMatchObject({ code: 'cursor-malformed' });
  });

  // The double keeps five megabytes of a partition; Kafka would not let go so soon.
  if (kafka.name === 'kafka') return;
  const megabytes = async (rig: KafkaRig) => {
    for (let n = 0; n < 20; n++) await say(rig, 'news', 'x'.repeat(400_000));
  };

  test('a cursor whose messages are gone has expired', each, async () => {
    await using rig = await startKafkaRig(service);
    const broker = await rig.connect();
    const before = await listen(broker, 'news');
    await say(rig, 'news', 1);
    const { position } = await before.next(PATIENCE);
    await before.subscription.close();
    await megabytes(rig);
    const subscribed = broker.subscribe('news', () => {}, { after: position });
    await expect(subscribed).rejects.toMatchObject({ code: 'cursor-expired' });
  });

  test('a subscriber that falls behind what is kept is told, and goes on with the oldest', each, async () => {
    await using rig = await startKafkaRig(service);
    const { broker, problems } = await connected(rig);
    const heard = await listen(broker, 'news');
    await say(rig, 'news', 1);
    await heard.next(PATIENCE);
    await rig.whileCut(() => megabytes(rig));
    await say(rig, 'news', 'the last');
    await problems.find('that it was told', ({ code }) => code === 'cursor-expired', PATIENCE);
    await heard.find('the last', ({ data }) => data === 'the last', PATIENCE);
  });
});
