/** The contract over Redis, and what only Redis can do: lose its line, go silent, die, come back, come back empty. */
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until, within } from '@patterns/kit/testing/until';
import { startRedis } from '@patterns/services/start-redis';
import { requireRedis } from '@patterns/services/testing';
import { Redis } from 'ioredis';
import { describe, expect, inject, test } from 'vitest';
import { NOW, OLDEST } from '../feed.ts';
import { RedisFeed, type RedisFeedOptions } from '../redis-feed.ts';
import { appendAll, feedContract, follow } from './contract.ts';

let keys = 0;
const freshKey = () => `${inject('redisPrefix')}feed-${process.pid}-${keys++}`;

requireRedis()('RedisFeed', () => {
  feedContract((options) => new RedisFeed({ url: inject('redisUrl'), key: freshKey(), ...options }));

  test('one reader and one other connection per process, however many followers', async () => {
    await using rig = await openRig();
    const followed = Array.from({ length: 1_000 }, () => follow(rig.feed, NOW, rig.signal));
    await rig.feed.append('t', 1);
    for (const { queue } of followed) await queue.next();
    expect(await rig.connections()).toEqual([`${rig.key}:commands`, `${rig.key}:reader`]);
  });

  test('two processes serve the same feed', async () => {
    await using rig = await openRig();
    await using other = new RedisFeed<number>({ url: inject('redisUrl'), key: rig.key });
    const [here, there] = [follow(rig.feed, NOW, rig.signal), follow(other, NOW, rig.signal)];
    await Promise.all([rig.feed.position(), other.position()]);
    const events = [await rig.feed.append('t', 1), await other.append('t', 2)];
    expect(await here.queue.take(2)).toEqual(events);
    expect(await there.queue.take(2)).toEqual(events);
    expect(await other.read({ after: events[0]?.id })).toEqual([events[1]]);
  });

  test('two processes append an event with a name once', async () => {
    await using rig = await openRig();
    await using other = new RedisFeed<number>({ url: inject('redisUrl'), key: rig.key });
    const events = await Promise.all([rig.feed, other].map((feed) => feed.append('t', 1, { once: 'mine' })));
    expect(await rig.feed.read()).toEqual([events[0]]);
    expect(events[1]).toEqual(events[0]);
  });

  test('CLIENT KILL: goes on from the last event, nothing lost and nothing twice', async () => {
    await using rig = await openRig();
    const { queue } = follow(rig.feed, NOW, rig.signal);
    const appended = [await rig.feed.append('t', 0)];
    await queue.next();
    for (let n = 1; n <= 5; n++) {
      await rig.kill('reader');
      appended.push(await rig.feed.append('t', n));
      expect(await queue.next()).toEqual(appended.at(-1));
    }
    expect(queue.items).toEqual(appended);
    expect(rig.errors.length).toBeGreaterThan(0);
  });

  test('more trimmed during an outage than was read: every follower is told', async () => {
    await using rig = await openRig({ retain: 5 });
    await using proxy = await startFaultProxy(inject('redisUrl'));
    await using cutOff = new RedisFeed<number>({ url: proxy.url, key: rig.key, onError: () => {} });
    const { queue, ended } = follow(cutOff, NOW, rig.signal);
    const failed = expect(ended).rejects.toMatchObject({ code: 'cursor-expired' });
    await cutOff.position(); // answered after the question that NOW asked on the same connection
    await rig.feed.append('t', 1);
    await queue.next();
    proxy.refuse();
    proxy.cut();
    await appendAll(rig.feed, 10);
    proxy.accept();
    await failed;
    // The reader has begun anew: who follows now is served.
    const again = follow(cutOff, OLDEST, rig.signal);
    expect(await again.queue.take(5)).toHaveLength(5);
    const event = await rig.feed.append('t', 99);
    expect(await again.queue.next()).toEqual(event);
  });

  test('a line that goes silent is noticed in bounded time, by the reader and by commands', async () => {
    await using rig = await openRig();
    await using proxy = await startFaultProxy(inject('redisUrl'));
    const errors: Error[] = [];
    const timing = { blockMs: 200, commandTimeoutMs: 300 };
    await using feed = new RedisFeed<number>({
      url: proxy.url,
      key: rig.key,
      ...timing,
      onError: (e) => errors.push(e),
    });
    const { queue } = follow(feed, NOW, rig.signal);
    await feed.position();
    await rig.feed.append('t', 1);
    await queue.next();
    proxy.stall();
    const missed = await rig.feed.append('t', 2);
    await expect(within('a refusal', 5_000, feed.append('t', 3))).rejects.toMatchObject({ code: 'unavailable' });
    await until('the silent lines cut', () => errors.some(({ message }) => message.includes('Socket timeout')));
    proxy.cut();
    proxy.flow();
    expect(await queue.find('the missed event', ({ id }) => id === missed.id)).toEqual(missed);
  });

  test('an entry that is not an event is reported and skipped', async () => {
    await using rig = await openRig();
    const { queue } = follow(rig.feed, NOW, rig.signal);
    await rig.feed.append('t', 1);
    await rig.redis.xadd(rig.key, '*', 'topic', 't', 'data', '{"broken');
    await rig.redis.xadd(rig.key, '*', 'something', 'else');
    await rig.feed.append('t', 2);
    expect((await queue.take(2)).map(({ data }) => data)).toEqual([1, 2]);
    expect(await rig.feed.read()).toHaveLength(2);
    const corrupt = rig.errors.filter((error) => 'code' in error && error.code === 'entry-corrupt');
    expect(corrupt).toHaveLength(4);
  });

  test('a key that is not a Stream is an error, not silence', async () => {
    await using rig = await openRig();
    await rig.redis.set(rig.key, 'x');
    await expect(rig.feed.append('t', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(rig.feed.read()).rejects.toThrow(/WRONGTYPE/);
    await expect(rig.feed.follow({ signal: rig.signal }, () => {})).rejects.toThrow(/WRONGTYPE/);
  });

  describe('a Redis that dies', () => {
    test('kill -9 and a restart: commands fail in bounded time, followers lose nothing and get nothing twice', async () => {
      await using server = await startRedis({ persist: true });
      await using feed = new RedisFeed<number>({ url: server.url, onError: () => {} });
      const stop = new AbortController();
      const { queue } = follow(feed, NOW, stop.signal);
      const appended = [await feed.append('t', 1)];
      await queue.next();
      await server.kill('SIGKILL');
      await expect(within('a refusal', 10_000, feed.append('t', 2))).rejects.toMatchObject({ code: 'unavailable' });
      await expect(within('a refusal', 10_000, feed.read())).rejects.toMatchObject({ code: 'unavailable' });
      await server.restart();
      appended.push(await until('an append', () => feed.append('t', 3)));
      expect(await queue.next()).toEqual(appended[1]);
      expect(queue.items).toEqual(appended);
      expect(await feed.read()).toEqual(appended);
      stop.abort();
    });

    test('back without its data: every follower and every cursor is told', async () => {
      await using server = await startRedis();
      await using feed = new RedisFeed<number>({ url: server.url, onError: () => {} });
      const { signal } = new AbortController();
      const { queue, ended } = follow(feed, NOW, signal);
      const { id } = await feed.append('t', 1);
      await queue.next();
      const failed = expect(ended).rejects.toMatchObject({ code: 'cursor-expired' });
      await server.kill('SIGKILL');
      await server.restart();
      await failed;
      const first = await until('an append', () => feed.append('t', 2));
      await expect(feed.read({ after: id })).rejects.toMatchObject({ code: 'cursor-expired', oldest: first.id });
      const again = follow(feed, OLDEST, signal);
      expect(await again.queue.next()).toEqual(first);
    });

    test('away from the beginning: follow is refused, and works when it is there', async () => {
      await using server = await startRedis();
      await using proxy = await startFaultProxy(server.url);
      proxy.refuse();
      await using feed = new RedisFeed<number>({ url: proxy.url, onError: () => {} });
      const { signal } = new AbortController();
      await expect(feed.follow({ signal }, () => {})).rejects.toMatchObject({ code: 'unavailable' });
      expect(feed.followers).toBe(0);
      proxy.accept();
      const event = await until('an append', () => feed.append('t', 1));
      const { queue } = follow(feed, OLDEST, signal);
      expect(await queue.next()).toEqual(event);
    });
  });
});

/** A feed with a key of its own, a client to look at Redis from outside, and what the feed reported. */
async function openRig(options: Partial<RedisFeedOptions> = {}) {
  const key = freshKey();
  const errors: Error[] = [];
  const url = inject('redisUrl');
  const redis = new Redis(url);
  const feed = new RedisFeed<number>({ url, key, onError: (error) => errors.push(error), ...options });
  const stop = new AbortController();
  const clients = async () => {
    const lines = String(await redis.client('LIST')).split('\n');
    return lines.map((line) => ({
      id: /\bid=(\d+)/.exec(line)?.[1] ?? '',
      name: /\bname=(\S*)/.exec(line)?.[1] ?? '',
    }));
  };
  return {
    key,
    errors,
    redis,
    feed,
    signal: stop.signal,
    connections: async () =>
      (await clients())
        .map(({ name }) => name)
        .filter((name) => name.startsWith(key))
        .sort(),
    async kill(role: 'reader' | 'commands') {
      const client = await until(`the ${role}`, async () =>
        (await clients()).find(({ name }) => name === `${key}:${role}`),
      );
      await redis.client('KILL', 'ID', client.id);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await feed[Symbol.asyncDispose]();
      redis.disconnect();
    },
  };
}
