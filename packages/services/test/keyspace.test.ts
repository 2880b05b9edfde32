import { Redis } from 'ioredis';
import { expect, inject, test } from 'vitest';
import { redisKeyspace } from '../keyspace.ts';
import { requireRedis } from '../testing.ts';

requireRedis()('keys of one’s own', () => {
  test('are gone on dispose, all of them, and nobody else’s', async () => {
    const redis = new Redis(inject('redisUrl'));
    await using _closed = { [Symbol.asyncDispose]: async () => redis.disconnect() };
    await using neighbour = redisKeyspace(inject('redisUrl'), 'neighbour');
    await redis.set(`${neighbour.prefix}a`, '1');

    // A star in a name must stay a star.
    const keyspace = redisKeyspace(inject('redisUrl'), '*');
    expect(keyspace.prefix).toMatch(/^patterns:\*:[0-9a-f]{8}:$/);
    const names = Array.from({ length: 2_500 }, (_, index) => `${keyspace.prefix}${index}`);
    await redis.mset(names.flatMap((name) => [name, '1']));
    const similar = `${neighbour.prefix}${keyspace.prefix}`;
    await redis.set(similar, '1');

    await keyspace[Symbol.asyncDispose]();
    expect(await redis.exists(...names)).toBe(0);
    expect(await redis.exists(`${neighbour.prefix}a`, similar)).toBe(2);
  });
});
