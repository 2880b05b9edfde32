import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { Redis } from 'ioredis';
import { expect, inject, test } from 'vitest';
import { type Change, UPDATES_PATH } from '../protocol.ts';
import { change, startDesk } from './desk.ts';

requireRedis()('a feed in Redis that is lost', () => {
  async function start() {
    const stack = new AsyncDisposableStack();
    const key = `${inject('redisPrefix')}${randomUUID()}`;
    const proxy = stack.use(await startFaultProxy(inject('redisUrl')));
    const feed = stack.use(new RedisFeed<Change>({ url: proxy.url, key, commandTimeoutMs: 500, onError: () => {} }));
    const shop = stack.use(new RedisFeed<Change>({ url: inject('redisUrl'), key }));
    await shop.append('7', change(1));
    const { id } = await shop.append('7', change(2));
    const desk = stack.use(await startDesk({ feed }));
    return { key, proxy, shop, id, desk, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  test('what is in memory is answered all the same, the rest is 503, with the time to come back', async () => {
    await using lost = await start();
    lost.proxy.refuse();
    lost.proxy.cut();
    const known = await lost.desk.get(`${UPDATES_PATH}?after=${lost.id}`, { 'If-None-Match': `"${lost.id}.0"` });
    expect(known.status).toBe(304);
    const { response, body } = await lost.desk.updates('after=0-0'); // older than memory: only the feed can tell
    expect(body).toMatchObject({ status: 503 });
    expect(response.headers.get('Retry-After')).toBe('2');
    lost.proxy.accept();
    await until('it is answered again', async () => (await lost.desk.updates('after=0-0')).response.status === 200);
  });

  test('and comes back without its data: the old cursor has expired, and the new orders are served', async () => {
    await using lost = await start();
    lost.proxy.refuse();
    lost.proxy.cut();
    const redis = new Redis(inject('redisUrl'));
    await redis.del(lost.key);
    redis.disconnect();
    const { id } = await lost.shop.append('8', change(1));
    lost.proxy.accept();
    await until('it knows the new order', async () => (await lost.desk.get('/orders/8')).status === 200);
    expect((await lost.desk.updates(`after=${lost.id}`)).response.status).toBe(410);
    expect((await lost.desk.updates('')).body).toMatchObject({ cursor: id });
  });
});
