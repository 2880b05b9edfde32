/** What the guarantees do not ask: what kafkajs does not mend by itself, groups that share a name, and what a key is for. */
import { setTimeout as pause } from 'node:timers/promises';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { findKafka, type KafkaService } from '@patterns/services/kafka';
import { startKafkaMock } from '@patterns/services/start-kafka-mock';
import { requireKafka } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OLDEST } from '../broker.ts';
import { envelope } from '../protocol.ts';
import { connected, listen, say, startKafkaRig } from './kafka-rig.ts';

const kafka = await requireKafka();
/** Beyond what kafkajs tries before it gives up, on a machine with other things to do. */
const PATIENCE = { withinMs: 40_000 };

kafka.describe(`${kafka.name}: faults`, () => {
  let service: KafkaService;
  beforeAll(async () => {
    service = await findKafka();
  });
  afterAll(() => service[Symbol.asyncDispose]());

  const each = { concurrent: true, timeout: 90_000 };

  test('a subscriber that kafkajs has given up is started again, and goes on where it was', each, async () => {
    await using rig = await startKafkaRig(service);
    const { broker, crashed } = await connected(rig);
    const alone = await listen(broker, 'news');
    await say(rig, 'news', 1);
    await alone.next(PATIENCE);
    await rig.whileCut(async () => {
      await say(rig, 'news', 2);
      await crashed();
      await say(rig, 'news', 3);
    });
    expect((await alone.take(2, PATIENCE)).map(({ data }) => data)).toEqual([2, 3]);
    await say(rig, 'news', 4);
    expect(await alone.next(PATIENCE)).toMatchObject({ data: 4 });
  });

  test('so is a member of a group', each, async () => {
    await using rig = await startKafkaRig(service);
    const { broker, crashed } = await connected(rig);
    const member = await listen(broker, 'news', { group: 'desk' });
    await rig.whileCut(async () => {
      await say(rig, 'news', 1);
      await crashed();
    });
    expect(await member.next(PATIENCE)).toMatchObject({ data: 1 });
  });

  test('brokers that are away are an error for each call, and none when they are back', each, async () => {
    await using rig = await startKafkaRig(service);
    const broker = await rig.connect();
    await broker.publish(envelope('news', 1));
    await rig.whileCut(async () => {
      const calls = [broker.publish(envelope('news', 2)), broker.subscribe('news', () => {})];
      await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject({ code: 'unavailable' })));
    });
    await broker.publish(envelope('news', 3));
    const heard = await listen(broker, 'news', { after: OLDEST });
    expect(await heard.next(PATIENCE)).toMatchObject({ data: 1 });
    await heard.find('what was published when they were back', ({ data }) => data === 3, PATIENCE);
  });

  test(
    'a group that has begun gets what is published while it is away, even if nothing had come yet',
    each,
    async () => {
      await using rig = await startKafkaRig(service);
      await say(rig, 'news', 'before it began');
      const broker = await rig.connect();
      const first = await listen(broker, 'news', { group: 'desk' });
      await first.subscription.close();
      await say(rig, 'news', 1);
      const second = await listen(broker, 'news', { group: 'desk' });
      expect(await second.next(PATIENCE)).toMatchObject({ data: 1 });
      expect(first.items).toEqual([]);
    },
  );

  test(
    'a handler that takes longer than a session keeps its place, and its message is not delivered again',
    each,
    async () => {
      // Of one broker: with several, the empty fetches from the others would bring heartbeats along.
      await using single = service.double ? await startKafkaMock({ brokers: 1 }) : undefined;
      await using rig = await startKafkaRig(single ? { brokers: single.brokers, double: true } : service);
      const started = new EventQueue<unknown>();
      const finish = Promise.withResolvers<void>();
      await using _ = { [Symbol.asyncDispose]: async () => finish.resolve() };
      const handler = ({ data }: { data: unknown }) => {
        started.push(data);
        return finish.promise;
      };
      await (await rig.connect()).subscribe('news', handler, { group: 'desk' });
      await say(rig, 'news', 1);
      await started.next(PATIENCE);
      // A session is six seconds: here the time is what is tested.
      await pause(9_000);
      finish.resolve();
      await say(rig, 'news', 2);
      await started.find('the second message', (data) => data === 2, PATIENCE);
      expect(started.items).toEqual([1, 2]);
    },
  );

  test('groups of the same name on two channels have nothing to do with each other', each, async () => {
    await using rig = await startKafkaRig(service);
    const broker = await rig.connect();
    const [news, sports] = [
      await listen(broker, 'news', { group: 'desk' }),
      await listen(broker, 'sports', { group: 'desk' }),
    ];
    await Promise.all([say(rig, 'news', 'n'), say(rig, 'sports', 's')]);
    expect(await news.next(PATIENCE)).toMatchObject({ data: 'n' });
    expect(await sports.next(PATIENCE)).toMatchObject({ data: 's' });
  });

  test('keys spread a channel over partitions, and each keeps its order', each, async () => {
    await using rig = await startKafkaRig(service);
    const heard = await listen(await rig.connect(), 'news');
    const messages = Array.from({ length: 80 }, (_, n) => ({ key: `desk-${n % 8}`, n }));
    await Promise.all(messages.map((data) => rig.publisher.publish(envelope('news', data), { key: data.key })));
    const got = await heard.take(messages.length, PATIENCE);
    const ofKey = Map.groupBy(
      got.map(({ data }) => data as { key: string; n: number }),
      ({ key }) => key,
    );
    for (const [key, data] of ofKey) expect(data, key).toEqual(messages.filter((message) => message.key === key));
    // The cursor names every partition, and the last one where each of them ends.
    const ends = (got.at(-1)?.position ?? '').split(',').map((pair) => Number(pair.split(':')[1]));
    expect(ends.reduce((sum, end) => sum + end, 0)).toBe(messages.length);
    expect(ends.filter((end) => end > 0).length).toBeGreaterThan(1);
  });
});
