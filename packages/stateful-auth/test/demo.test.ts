import { startProcess } from '@patterns/kit/testing/processes';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';

requireRedis()('the demo', () => {
  requirePostgres()('with a Redis of its own', () => {
    test('shows what it claims: naive forgets and is fooled, sound does not and is not', {
      timeout: 120_000,
    }, async () => {
      const env = { DATABASE_URL: inject('databaseUrl') };
      await using demo = startProcess(new URL('../demo.ts', import.meta.url), { env });
      const { code } = await demo.exited;
      expect(code, demo.output()).toBe(0);
    });
  });
});
