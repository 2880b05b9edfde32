import { randomUUID } from 'node:crypto';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { envelope } from '@patterns/pub-sub/protocol';
import { createDatabase } from '@patterns/services/database';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { Redis } from 'ioredis';
import { expect, inject, test } from 'vitest';
import { openDatabase } from '../chassis/database.ts';
import { openBroker, subscribe } from '../chassis/messaging.ts';
import { startOutboxRelay, toBroker } from '../chassis/outbox.ts';
import { log } from './stage.ts';

const EVENTS = 20;
const redisUrl = inject('redisUrl');
const newPrefix = () => `${inject('redisPrefix')}${randomUUID()}:`;
const read = (data: unknown) => (data as { n: number }).n;

requireRedis()('events over Redis', () => {
  requirePostgres()('and an outbox', () => {
    test('killed after the broker had its events and before it knew: they are sent again, and none is missing', async () => {
      await using stack = new AsyncDisposableStack();
      const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'outbox'));
      const prefix = newPrefix();
      const redis = stack.adopt(new Redis(redisUrl), async (each) => void (await each.quit()));
      const broker = stack.use(openBroker({ redisUrl, prefix, log }));
      const times = new Map<string, number>();
      const handle = async ({ id }: { id: string }) => void times.set(id, (times.get(id) ?? 0) + 1);
      stack.use(await subscribe(broker, { channel: 'orders', group: 'kitchen', read, handle, log }));

      // From the first event on, no answer of Redis comes through.
      const proxy = stack.use(
        await startFaultProxy(redisUrl, {
          onData: (chunk, { direction }) => {
            if (direction === 'up' && chunk.includes('order:0')) proxy.stall('down');
          },
        }),
      );
      const env = { DATABASE_URL: databaseUrl, REDIS_URL: proxy.url, REDIS_PREFIX: prefix, EVENTS: String(EVENTS) };
      const teller = stack.use(startProcess(new URL('outbox-teller.ts', import.meta.url), { env }));
      await teller.line(/^running/, { withinMs: 60_000 });
      await until('Redis has all events', () => times.size === EVENTS);
      await teller.kill('SIGKILL');

      const database = stack.use(openDatabase({ url: databaseUrl, log }));
      const rows = async () => (await database.query('select from shop.outbox')).rowCount;
      expect(await rows()).toBe(EVENTS);
      stack.use(startOutboxRelay({ databaseUrl, queue: toBroker(broker), log }));
      await until('the outbox is empty', async () => (await rows()) === 0);
      await until('all were told again', () => times.values().every((count) => count === 2));
      expect(times.size).toBe(EVENTS);
      expect(await redis.xlen(`${prefix}{orders}:log`)).toBe(2 * EVENTS);
    }, 90_000);
  });
  test('what is published before anybody listens, is heard by whoever comes later', async () => {
    await using broker = openBroker({ redisUrl, prefix: newPrefix(), log });
    await broker.publish(envelope('orders', { n: 7 }));
    const heard = Promise.withResolvers<number>();
    const handle = async ({ data }: { data: number }) => heard.resolve(data);
    await using _kitchen = await subscribe(broker, { channel: 'orders', group: 'kitchen', read, handle, log });
    expect(await heard.promise).toBe(7);
  });

  test('a handler whose database is away gets the same message again, before the next one', async () => {
    await using broker = openBroker({ redisUrl, prefix: newPrefix(), log });
    const handled: number[] = [];
    let failures = 3;
    const handle = async ({ data }: { data: number }) => {
      if (failures-- > 0) throw new Error('no connection');
      handled.push(data);
    };
    for (const n of [1, 2]) await broker.publish(envelope('orders', { n }));
    await using _kitchen = await subscribe(broker, { channel: 'orders', group: 'kitchen', read, handle, log });
    await until('both are handled', () => handled.length === 2);
    expect(handled).toEqual([1, 2]);
  });

  test('what nobody can read is set aside at once, and holds up nothing', async () => {
    const prefix = newPrefix();
    await using stack = new AsyncDisposableStack();
    const redis = stack.adopt(new Redis(redisUrl), async (each) => void (await each.quit()));
    const broker = stack.use(openBroker({ redisUrl, prefix, log }));
    await broker.publish(envelope('orders', 'no order at all'));
    await broker.publish(envelope('orders', { n: 2 }));
    const demanding = (data: unknown) => {
      if (typeof data !== 'object') throw new Error('an object was agreed');
      return read(data);
    };
    const handled = Promise.withResolvers<number>();
    const handle = async ({ data }: { data: number }) => handled.resolve(data);
    stack.use(await subscribe(broker, { channel: 'orders', group: 'kitchen', read: demanding, handle, log }));
    expect(await handled.promise).toBe(2);
    const aside = await redis.keys(`${prefix}*aside*`);
    expect(aside).toHaveLength(1);
    expect(JSON.stringify(await redis.xrange(aside[0]!, '-', '+'))).toContain('no order at all');
  });
});
