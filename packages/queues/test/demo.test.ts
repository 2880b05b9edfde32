import { startProcess } from '@patterns/kit/testing/processes';
import { requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';

requireRedis()('the demo', () => {
  test('shows what it claims: naive loses, sound does not', { timeout: 150_000 }, async () => {
    const env = {
      DATABASE_URL: inject('databaseUrl'),
      REDIS_URL: inject('redisUrl'),
      REDIS_PREFIX: inject('redisPrefix'),
    };
    await using demo = startProcess(new URL('../demo.ts', import.meta.url), { env });
    const { code } = await demo.exited;
    expect(code, demo.output()).toBe(0);
  });
});
