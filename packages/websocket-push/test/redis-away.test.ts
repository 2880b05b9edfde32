import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';
import { type ChatData, NOTICES, ROOM } from '../protocol.ts';
import { notice, openSocket, startRoom } from './room.ts';

requireRedis()('a feed that is away for a while', () => {
  test('what is said is not taken, and everybody stays connected; when it is back, all is as before', async () => {
    await using redis = await startFaultProxy(inject('redisUrl'));
    const key = `${inject('redisPrefix')}${randomUUID()}`;
    await using feed = new RedisFeed<ChatData>({ url: redis.url, key, commandTimeoutMs: 500, onError: () => {} });
    await using room = await startRoom({ feed });
    await using ann = await openSocket(room.url, { name: 'ann' });
    await ann.next('welcome');
    await feed.append(NOTICES, notice('before'));
    const { id: cursor } = await ann.next('event');

    redis.refuse();
    redis.cut();
    ann.say('1', 'hello');
    expect(await ann.next('error')).toMatchObject({ id: '1' });
    await using late = await openSocket(room.url, { name: 'late', after: '1-0' }); // only the log could tell what it missed
    expect(await late.end()).toBe('1013 the room cannot be read just now');

    redis.accept();
    await until('Redis is back', () => feed.position().then(Boolean, () => false));
    ann.say('1', 'hello');
    await ann.next('ack');
    await feed.append(NOTICES, notice('we are back'));
    expect(await ann.next('event')).toMatchObject({ topic: ROOM, data: { text: 'hello' } });
    expect(await ann.next('event')).toMatchObject({ data: { text: 'we are back' } });
    await using bob = await openSocket(room.url, { name: 'bob', after: cursor });
    expect(await bob.next('event')).toMatchObject({ data: { text: 'hello' } });
  });
});
