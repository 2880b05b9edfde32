/** Sharded channels on a real Redis Cluster: each is its slot's master's alone, where a plain one is everybody's. */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { type StartedRedisCluster, startRedisCluster } from '@patterns/services/start-redis-cluster';
import { requireExtra } from '@patterns/services/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { envelope, type PubSubError } from '../protocol.ts';
import { RedisPubSub } from '../redis-pubsub.ts';

/** Enough of them that every node owns some. */
const CHANNELS = Array.from({ length: 12 }, (_, n) => `news-${n}`);

requireExtra('redis')('redis-pubsub, sharded, on a Redis Cluster', () => {
  let cluster: StartedRedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  /** A client of our broker that knows one node, as different programs would know different ones. */
  const broker = (node: number, onProblem?: (problem: PubSubError) => void) =>
    new RedisPubSub({ url: cluster.nodes[node]?.url ?? '', sharded: true, ...(onProblem && { onProblem }) });

  /** A plain connection to each node. */
  function connections() {
    const stack = new DisposableStack();
    const nodes = cluster.nodes.map(({ url }) => {
      const redis = stack.adopt(new Redis(url), (client) => client.disconnect());
      redis.on('error', () => {});
      return redis;
    });
    return { nodes, [Symbol.dispose]: () => stack.dispose() };
  }

  /** What a node has sent to the others for subscribers who might be there, by kind. */
  async function passedOn(node: Redis) {
    const info = await node.cluster('INFO');
    const sent = (kind: string) =>
      Number(new RegExp(`^cluster_stats_messages_${kind}_sent:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return { plain: sent('publish'), sharded: sent('publishshard') };
  }

  test('a message published through any node reaches the subscriber, whichever it knows', async () => {
    await using _leaks = noLeaks();
    await using subscriber = broker(0);
    const heard = new EventQueue<string>();
    for (const channel of CHANNELS)
      await subscriber.subscribe(channel, ({ data }) => heard.push(`${channel} ${String(data)}`));
    const expected: string[] = [];
    for (const node of cluster.nodes.keys()) {
      await using publisher = broker(node);
      for (const channel of CHANNELS) {
        expect(await publisher.publish(envelope(channel, node))).toMatchObject({ receivers: 1 });
        expected.push(`${channel} ${node}`);
      }
    }
    expect((await heard.take(expected.length)).sort()).toEqual(expected.sort());
  });

  test('the subscription is at the slot’s master and nowhere else, and the others refuse it', async () => {
    await using _leaks = noLeaks();
    await using subscriber = broker(0);
    using plain = connections();
    const owners = new Set<number>();
    for (const channel of CHANNELS) {
      await using subscription = await subscriber.subscribe(channel, () => {});
      const counts = await Promise.all(plain.nodes.map((node) => node.call('PUBSUB', 'SHARDNUMSUB', channel)));
      const owner = counts.findIndex((count) => (count as [string, number])[1] === 1);
      expect(counts).toEqual(plain.nodes.map((_, node) => [channel, node === owner ? 1 : 0]));
      owners.add(owner);
      const { port } = cluster.nodes[owner] ?? {};
      const other = plain.nodes[(owner + 1) % 3];
      await expect(other?.spublish(channel, 'x')).rejects.toThrow(new RegExp(`^MOVED \\d+ 127\\.0\\.0\\.1:${port}$`));
      await subscription.close();
    }
    expect(
      [...owners].sort((a, b) => a - b),
      'nodes that own a channel',
    ).toEqual([0, 1, 2]);
  });

  test('a sharded message goes to no other node; a plain one goes to all of them, heard or not', async () => {
    await using _leaks = noLeaks();
    await using sharded = broker(0);
    using plain = connections();
    const heard = new EventQueue<unknown>();
    await sharded.subscribe('news', ({ data }) => heard.push(data));
    const everywhere = async () => await Promise.all(plain.nodes.map(passedOn));

    const before = await everywhere();
    for (let n = 0; n < 100; n++) await sharded.publish(envelope('news', n));
    await heard.take(100);
    expect(await everywhere(), 'after 100 sharded ones').toEqual(before);

    const [speaker] = plain.nodes;
    for (let n = 0; n < 100; n++) await speaker?.publish('nobody-listens', 'x');
    const passed = (await everywhere()).map(({ plain }, node) => plain - (before[node]?.plain ?? 0));
    expect(passed, 'after 100 plain ones at the first node').toEqual([200, 0, 0]);
  });

  test('a plain subscriber of the same name hears the plain message from any node, and not the sharded one', async () => {
    await using _leaks = noLeaks();
    await using sharded = broker(0);
    using plain = connections();
    const heard = new EventQueue<string>();
    plain.nodes[2]?.on('message', (_channel, text) => heard.push(text));
    await plain.nodes[2]?.subscribe('news');
    expect(await sharded.publish(envelope('news', 'sharded'))).toMatchObject({ receivers: 0 });
    await plain.nodes[0]?.publish('news', 'plain');
    expect(await heard.next()).toBe('plain');
  });

  test('after its master was killed and came back, the subscriber hears again', async () => {
    await using _leaks = noLeaks();
    await using subscriber = broker(0);
    using plain = connections();
    const heard = new EventQueue<unknown>();
    await subscriber.subscribe('news', ({ data }) => heard.push(data));
    const counts = await Promise.all(plain.nodes.map((node) => node.call('PUBSUB', 'SHARDNUMSUB', 'news')));
    const owner = cluster.nodes[counts.findIndex((count) => (count as [string, number])[1] === 1)];
    await owner?.kill('SIGKILL');
    await owner?.restart();
    await using publisher = broker(1);
    // Nobody tells a publisher that its subscribers are back: it speaks until one hears.
    await until(
      'a message after the restart',
      async () => {
        await publisher.publish(envelope('news', 'again'));
        return heard.items.length > 0;
      },
      { withinMs: 30_000 },
    );
  }, 60_000);
});
