/** What the Redis brokers do beyond the guarantees that all brokers have. */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { until, within } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';
import { OLDEST } from '../broker.ts';
import { groupsOf } from '../group-ledger.ts';
import { logKey } from '../log.ts';
import { type Envelope, envelope, type PubSubError } from '../protocol.ts';
import { RedisPubSub } from '../redis-pubsub.ts';
import { RedisStreams } from '../redis-streams.ts';
import { CLAIM_AFTER_MS, startRig } from './brokers.ts';

requireRedis()('Redis pub/sub', () => {
  test('keeps no more than its bound for a handler that falls behind, and says how many it dropped', async () => {
    await using rig = await startRig('pubsub');
    const problems = new EventQueue<PubSubError>();
    const onProblem = (problem: PubSubError) => problems.push(problem);
    await using broker = new RedisPubSub({ url: inject('redisUrl'), prefix: rig.prefix, maxPending: 5, onProblem });
    const channel = await rig.channel();
    const [handled, finish] = [new EventQueue<unknown>(), Promise.withResolvers<void>()];
    await broker.subscribe(channel, async ({ data }) => {
      await finish.promise;
      handled.push(data);
    });
    for (let n = 1; n <= 20; n++) await rig.publisher.publish(envelope(channel, n));
    await broker.flush();
    finish.resolve();
    expect(await handled.take(6)).toEqual([1, 2, 3, 4, 5, 6]);
    expect((await problems.take(2)).map(({ message }) => message)).toEqual([
      expect.stringMatching(/has 5 waiting/),
      '14 messages were dropped, and now it keeps up',
    ]);
  });

  test('hears a message once for each subscription that matches it', async () => {
    await using rig = await startRig('pubsub');
    const channel = await rig.channel();
    const broker = await rig.connect();
    const heard = new EventQueue<string>();
    await broker.subscribe(channel, () => heard.push('channel'));
    await broker.subscribe(`${channel}*`, () => heard.push('pattern'), { pattern: true });
    await rig.publisher.publish(envelope(channel, 1));
    expect((await heard.take(2)).sort()).toEqual(['channel', 'pattern']);
  });

  test('finds a line that has gone silent, although it is owed nothing', async () => {
    await using rig = await startRig('pubsub');
    const lost = new EventQueue<PubSubError>();
    const onProblem = (problem: PubSubError) => lost.push(problem);
    await using broker = new RedisPubSub({ url: rig.proxy.url, prefix: rig.prefix, pingMs: 200, onProblem });
    await broker.subscribe(await rig.channel(), () => {});
    rig.proxy.stall();
    expect((await lost.next()).message).toMatch(/Socket timeout/);
    rig.proxy.flow();
  });

  test('tells when it has subscribed again: all that tells that something may be missing', async () => {
    await using rig = await startRig('pubsub');
    const again = Promise.withResolvers<void>();
    const options = { url: rig.proxy.url, prefix: rig.prefix, onResubscribed: again.resolve };
    await using broker = new RedisPubSub(options);
    const channel = await rig.channel();
    await broker.subscribe(channel, () => {});
    rig.proxy.cut(); // CLIENT KILL would meet the other tests of this Redis as well
    await within('the new subscription', 10_000, again.promise);
    expect(await rig.publisher.publish(envelope(channel, 1))).toEqual({ receivers: 1 });
  });
});

requireRedis()('a consumer group', () => {
  test('keeps what a member works on for longer than the time after which it would be claimed', async () => {
    await using rig = await startRig('streams');
    const channel = await rig.channel();
    const [begun, finish] = [new EventQueue<string>(), Promise.withResolvers<void>()];
    const work = (who: string) => async () => {
      begun.push(who);
      await finish.promise;
    };
    await (await rig.connect()).subscribe(channel, work('a'), { group: 'desk' });
    await rig.publisher.publish(envelope(channel, 1));
    await begun.next();
    await (await rig.connect()).subscribe(channel, work('b'), { group: 'desk' });
    await expect(begun.next({ withinMs: 3 * CLAIM_AFTER_MS })).rejects.toThrow(/Not within/);
    finish.resolve();
  });

  test('acknowledges after the work, not before', async () => {
    await using rig = await startRig('streams');
    const channel = await rig.channel();
    const [begun, finish] = [new EventQueue<unknown>(), Promise.withResolvers<void>()];
    const work = async ({ data }: Envelope) => {
      begun.push(data);
      await finish.promise;
    };
    await (await rig.connect()).subscribe(channel, work, { group: 'desk' });
    await rig.publisher.publish(envelope(channel, 1));
    await begun.next();
    const pending = async () => (await groupsOf(rig.redis, logKey(rig.prefix, channel)))[0]?.pending;
    expect(await pending()).toBe(1);
    finish.resolve();
    await until('the acknowledgement', async () => (await pending()) === 0);
  });

  test('a member that leaves hands back what it has not begun, at once', async () => {
    await using rig = await startRig('streams');
    const channel = await rig.channel();
    for (const n of [1, 2, 3]) await rig.publisher.publish(envelope(channel, n));
    const [begun, finish] = [new EventQueue<unknown>(), Promise.withResolvers<void>()];
    await using patient = new RedisStreams({ url: inject('redisUrl'), prefix: rig.prefix, claimAfterMs: 3_600_000 });
    const work = async ({ data }: Envelope) => {
      begun.push(data);
      await finish.promise;
    };
    const leaver = await patient.subscribe(channel, work, { group: 'desk', after: OLDEST });
    await begun.next();
    const left = leaver.close();
    finish.resolve();
    await left;
    const heir = new EventQueue<unknown>();
    await using other = new RedisStreams({ url: inject('redisUrl'), prefix: rig.prefix, claimAfterMs: 3_600_000 });
    await other.subscribe(channel, ({ data }) => heir.push(data), { group: 'desk' });
    expect(await heir.take(2)).toEqual([2, 3]);
  });

  test('sets aside what kills whoever has it, since nobody is left to say why', async () => {
    await using rig = await startRig('streams');
    const channel = await rig.channel();
    const key = logKey(rig.prefix, channel);
    await rig.redis.xgroup('CREATE', key, 'desk', '0', 'MKSTREAM');
    const { id } = envelope(channel, 1);
    await rig.publisher.publish({ ...envelope(channel, 1), id });
    // Delivered three times, as the members that died of it would have left it.
    await rig.redis.xreadgroup('GROUP', 'desk', 'dead', 'STREAMS', key, '>');
    await rig.redis.xclaim(key, 'desk', 'dead', 0, '0-1', 'IDLE', 60_000, 'RETRYCOUNT', 3);
    const seen = new EventQueue<unknown>();
    await (await rig.connect()).subscribe(channel, ({ data }) => seen.push(data), { group: 'desk' });
    await rig.publisher.publish(envelope(channel, 2));
    expect(await seen.next()).toBe(2);
    await until('it is aside', async () => (await rig.setAside(channel)).length === 1);
    expect(await rig.setAside(channel)).toEqual([{ id, reason: 'whoever had it was gone before it was done' }]);
  });

  test('that is further behind than what is kept is told how much it lost', async () => {
    await using rig = await startRig('streams');
    const channel = await rig.channel();
    const problems = new EventQueue<PubSubError>();
    const first = await (await rig.connect()).subscribe(channel, () => {}, { group: 'desk' });
    await first.close();
    await using forgetful = new RedisStreams({ url: inject('redisUrl'), prefix: rig.prefix, retain: 5 });
    for (let n = 1; n <= 20; n++) await forgetful.publish(envelope(channel, n));
    const heard = new EventQueue<unknown>();
    const broker = await rig.connect((problem) => problems.push(problem));
    await broker.subscribe(channel, ({ data }) => heard.push(data), { group: 'desk' });
    expect(await heard.next()).toBe(16);
    expect(await problems.next()).toMatchObject({
      code: 'cursor-expired',
      message: '15 messages were trimmed before they were handled',
    });
  });

  test('of a log that was deleted goes on with the new one', async () => {
    await using rig = await startRig('streams');
    const channel = await rig.channel();
    const heard = new EventQueue<unknown>();
    await (await rig.connect()).subscribe(channel, ({ data }) => heard.push(data), { group: 'desk' });
    await rig.redis.del(logKey(rig.prefix, channel));
    await rig.publisher.publish(envelope(channel, 1));
    expect(await heard.next()).toBe(1);
  });
});
