import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import session, { type SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connectRedis } from '../redis-connection.ts';
import { handleOf } from '../session-data.ts';
import { RedisSessionStore, SessionStoreError, type SessionStoreOptions } from '../session-store.ts';

const HOUR_MS = 3_600_000;

/** A session as express-session hands it to a store. */
const sessionOf = (userId: number, signedInAt = Date.now()): SessionData => ({
  cookie: Object.assign(new session.Cookie(), { originalMaxAge: null }),
  userId,
  signedInAt,
});

const asJson = (data: unknown) => JSON.parse(JSON.stringify(data));

/** The store's methods as promises, with keys of its own. */
function openStore(redis: Redis, options: Partial<SessionStoreOptions> = {}) {
  const prefix = `${inject('redisPrefix')}${randomUUID()}:`;
  const store = new RedisSessionStore({ redis, prefix, ...options });
  return {
    store,
    prefix,
    get: promisify(store.get.bind(store)) as (id: string) => Promise<SessionData | null>,
    set: promisify(store.set.bind(store)),
    touch: promisify(store.touch.bind(store)),
    destroy: promisify(store.destroy.bind(store)),
    key: (id: string) => `${prefix}session:${handleOf(id)}`,
  };
}

requireRedis()('the session store', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = connectRedis(inject('redisUrl'));
    await once(redis, 'ready');
  });
  afterAll(() => redis.disconnect());

  test('keeps what it is given, whatever characters are in it, and nothing that was not', async () => {
    const { get, set } = openStore(redis);
    const data = Object.assign(sessionOf(7), { note: 'Zoë 👩‍🍳 "quoted"\n\0' });
    await set('id one', data);
    expect(await get('id one')).toEqual(asJson(data));
    expect(await get('id two')).toBeNull();
  });

  test('is written over by another set, and emptied by destroy, which may be called twice', async () => {
    const { get, set, destroy } = openStore(redis);
    await set('id', sessionOf(7, 1_900_000_000_000));
    await set('id', sessionOf(8, 1_900_000_000_001));
    expect(await get('id')).toMatchObject({ userId: 8, signedInAt: 1_900_000_000_001 });
    await destroy('id');
    await destroy('id');
    expect(await get('id')).toBeNull();
  });

  test('ends a session that is idle for too long, and a touch makes that time begin anew', async () => {
    const { get, set, touch, key } = openStore(redis, { idleMs: 60_000 });
    const data = sessionOf(7);
    await set('id', data);
    expect(await redis.pttl(key('id'))).toBeGreaterThan(30_000);
    expect(await redis.pttl(key('id'))).toBeLessThanOrEqual(60_000);
    await redis.pexpire(key('id'), 10_000);
    await get('id'); // looking is not touching
    expect(await redis.pttl(key('id'))).toBeLessThanOrEqual(10_000);
    await touch('id', data);
    expect(await redis.pttl(key('id'))).toBeGreaterThan(30_000);
    await redis.pexpire(key('id'), 1);
    await until('it is over', async () => (await get('id')) === null);
  });

  test('ends a session at its absolute end, however often it is touched', async () => {
    const { get, set, touch, key } = openStore(redis, { idleMs: HOUR_MS, absoluteMs: 2 * HOUR_MS });
    const almostOver = sessionOf(7, Date.now() - 2 * HOUR_MS + 60_000);
    await set('id', almostOver);
    await touch('id', almostOver);
    expect(await redis.pttl(key('id'))).toBeLessThanOrEqual(60_000);
    expect(await get('id')).not.toBeNull();

    // As one whose end has come while nobody looked: a clock that jumped, or a lifetime that was made shorter.
    await redis.hset(key('id'), 'data', JSON.stringify(sessionOf(7, Date.now() - 2 * HOUR_MS)));
    expect(await get('id')).toBeNull();
    await touch('id', sessionOf(7, Date.now() - 2 * HOUR_MS));
    expect(await redis.exists(key('id'))).toBe(0);
  });

  describe.each([
    ['destroy', (opened: ReturnType<typeof openStore>) => opened.destroy('id')],
    ['destroyAll', (opened: ReturnType<typeof openStore>) => opened.store.destroyAll(7)],
    ['its time', (opened: ReturnType<typeof openStore>) => redis.del(opened.key('id'))],
  ])('a session that was ended by %s while a request held a copy', (_by, end) => {
    test('is not brought back by the end of that request', async () => {
      const opened = openStore(redis);
      await opened.set('id', sessionOf(7));
      const copy = (await opened.get('id'))!;
      const request = { sessionID: 'id', sessionStore: opened.store } as never;
      const ofRequest = opened.store.createSession(request, copy); // the object that express-session gives the request
      await end(opened);
      for (const late of [copy, ofRequest]) {
        await opened.set('id', late);
        await opened.touch('id', late);
        expect(await opened.get('id')).toBeNull();
      }
      expect(await opened.store.sessionsOf(7)).toEqual([]);
      await opened.set('id', sessionOf(7)); // one that begins now is another matter
      expect(await opened.get('id')).not.toBeNull();
    });
  });

  test('stays ended among many that write at once', async () => {
    const { get, set, touch, destroy, store, prefix } = openStore(redis);
    await set('id', sessionOf(7));
    const copies = await Promise.all(Array.from({ length: 60 }, () => get('id')));
    const writes = copies.map((copy, i) => (i === 30 ? destroy('id') : i % 2 ? set('id', copy!) : touch('id', copy!)));
    await Promise.all(writes);
    expect(await get('id')).toBeNull();
    expect(await store.count()).toBe(0);
    expect(await redis.keys(`${prefix}*`)).toEqual([]);
  });

  test('finds all sessions of a user, and ends them without touching another', async () => {
    const { get, set, store } = openStore(redis);
    for (const id of ['one', 'two', 'three']) await set(id, sessionOf(7, 1_900_000_000_000));
    await set('other', sessionOf(77));
    const found = await store.sessionsOf(7);
    expect(new Set(found.map(({ handle }) => handle))).toEqual(new Set(['one', 'two', 'three'].map(handleOf)));
    expect(found[0]).toEqual({ handle: expect.any(String), signedInAt: 1_900_000_000_000 });
    expect(await store.count()).toBe(4);

    expect(await store.destroyAll(7)).toBe(3);
    expect(await store.destroyAll(7)).toBe(0);
    expect(await get('two')).toBeNull();
    expect(await get('other')).not.toBeNull();
    expect(await store.count()).toBe(1);
  });

  test('moves a session that becomes another user’s from one list to the other', async () => {
    const { set, store } = openStore(redis);
    await set('id', sessionOf(7));
    await set('id', sessionOf(8));
    expect(await store.sessionsOf(7)).toEqual([]);
    expect(await store.sessionsOf(8)).toHaveLength(1);
  });

  test('leaves nothing for ever: the lists forget what has run out, and run out themselves', async () => {
    const { set, prefix, store } = openStore(redis);
    const brief = new RedisSessionStore({ redis, prefix, idleMs: 1 });
    await set('first', sessionOf(7));
    for (let i = 0; i < 20; i++) await promisify(brief.set.bind(brief))(`brief ${i}`, sessionOf(7));
    await until('they have run out', async () => (await redis.keys(`${prefix}session:*`)).length === 1);
    expect(await store.count()).toBe(1); // what has run out is not counted
    await set('second', sessionOf(7));
    expect(await redis.zcard(`${prefix}user:7`)).toBe(2);
    expect(await redis.zcard(`${prefix}all`)).toBe(2);
    expect(await store.sessionsOf(7)).toHaveLength(2);
    for (const key of await redis.keys(`${prefix}*`)) expect(await redis.pttl(key), key).toBeGreaterThan(0);
  });

  test('holds no ids: neither keys nor values have them', async () => {
    const { set, prefix } = openStore(redis);
    const id = randomUUID();
    await set(id, sessionOf(7));
    const keys = await redis.keys(`${prefix}*`);
    expect(keys).toHaveLength(3);
    for (const key of keys) {
      const value = key.includes('session:') ? await redis.hgetall(key) : await redis.zrange(key, '0', '-1');
      expect(key + JSON.stringify(value)).not.toContain(id);
    }
  });

  test.each([
    'not JSON',
    'null',
    '[]',
    '7',
    '{}',
    '{"cookie":{},"userId":"7","signedInAt":1}',
    '{"cookie":{},"userId":7}',
    '{"userId":7,"signedInAt":1900000000000}',
  ])('takes %s for no session', async (text) => {
    const { get, set, key } = openStore(redis);
    await set('id', sessionOf(7));
    await redis.hset(key('id'), 'data', text);
    expect(await get('id')).toBeNull();
  });

  test('does not keep a session of nobody', async () => {
    const { set } = openStore(redis);
    await expect(set('id', { cookie: sessionOf(7).cookie } as SessionData)).rejects.toThrow(TypeError);
  });

  test('says that Redis is away instead of waiting, and works again when it is back', async () => {
    await using proxy = await startFaultProxy(inject('redisUrl'));
    using stack = new DisposableStack();
    const far = stack.adopt(connectRedis(proxy.url), (redis) => redis.disconnect());
    await once(far, 'ready');
    const answered: boolean[] = [];
    const observe = (_command: string, _seconds: number, isAnswered: boolean) => {
      answered.push(isAnswered);
    };
    const { get, set, touch, destroy, store } = openStore(far, { observe });
    const data = sessionOf(7);
    await set('id', data);
    const fails = async () => {
      const error = { name: 'SessionStoreError', code: 'unavailable' } satisfies Partial<SessionStoreError>;
      await expect(get('id')).rejects.toMatchObject(error);
      await expect(set('id', data)).rejects.toMatchObject(error);
      await expect(destroy('id')).rejects.toMatchObject(error);
      await expect(store.destroyAll(7)).rejects.toMatchObject(error);
      await touch('id', data); // whose failure is only counted
    };

    proxy.refuse();
    proxy.cut();
    await fails();
    expect(answered).toEqual([true, false, false, false, false, false]);
    proxy.accept();
    await until('it is back', async () => (await get('id'))?.userId === 7);

    proxy.stall(); // no answer, and no word that there will be none
    const startedAt = performance.now();
    await expect(get('id')).rejects.toThrow(SessionStoreError);
    expect(performance.now() - startedAt).toBeLessThan(10_000); // it is 2 s; by default it would be for ever
    proxy.flow();
    await until('it is back', async () => (await get('id'))?.userId === 7);
  });
});
