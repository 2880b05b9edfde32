import { randomUUID } from 'node:crypto';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { describe, expect, inject, test } from 'vitest';
import { type ExpiringStore, MemoryStore, RedisStore } from '../store.ts';
import { Tickets } from '../tickets.ts';

/** `start` gives two views of one store: what two servers have. */
function storeContract(start: (stack: AsyncDisposableStack) => [ExpiringStore, ExpiringStore]) {
  test('of many who take a value at once, at two servers, one gets it', async () => {
    await using _leaks = noLeaks();
    await using stack = new AsyncDisposableStack();
    const [a, b] = start(stack);
    await a.set('key', 'value', 60_000);
    expect(await b.get('key')).toBe('value');
    const taken = await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 ? a : b).take('key')));
    expect(taken.filter((value) => value !== undefined)).toEqual(['value']);
    expect(await a.get('key')).toBeUndefined();
  });

  test('a value expires', async () => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = start(stack);
    await a.set('short', 'value', 20);
    await until('it has expired', async () => (await b.get('short')) === undefined);
    expect(await a.take('short')).toBeUndefined();
  });

  test('a ticket of one server is redeemed at the other, once', async () => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = start(stack).map((store) => new Tickets({ store })) as [Tickets, Tickets];
    const ticket = (await a.issue(await b.login('ann')))!;
    expect(await b.redeem(ticket)).toMatchObject({ user: 'ann' });
    expect(await a.redeem(ticket)).toBeUndefined();
    expect(await a.issue(ticket)).toBeUndefined(); // a ticket is no session
  });
}

describe('a store in memory', () => {
  storeContract(() => {
    const store = new MemoryStore();
    return [store, store];
  });
});

requireRedis()('a store in Redis', () => {
  storeContract((stack) => {
    const options = { prefix: `${inject('redisPrefix')}${randomUUID()}:`, onError: () => {} };
    return [
      stack.use(new RedisStore(inject('redisUrl'), options)),
      stack.use(new RedisStore(inject('redisUrl'), options)),
    ];
  });
});
