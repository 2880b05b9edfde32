import { startProcess } from '@patterns/kit/testing/processes';
import { requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';

requireRedis()('the demo', () => {
  test.concurrent.each([
    ['express', []],
    ['undici', ['--sound']], // the naive half has no engine
  ])('shows what it claims, on %s', { timeout: 90_000 }, async (engine, flags) => {
    const env = { REDIS_URL: inject('redisUrl') };
    const args = ['--engine', engine, ...flags];
    await using demo = startProcess(new URL('../demo.ts', import.meta.url), { args, env });
    const { code } = await demo.exited;
    expect(code, demo.output()).toBe(0);
  });
});
