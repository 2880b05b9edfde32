import { startProcess } from '@patterns/kit/testing/processes';
import { createDatabase } from '@patterns/services/database';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';

requireRedis()('with Redis', () => {
  requirePostgres()('the demo', () => {
    test('shows what it claims: naive takes forged tokens, sound does not, and what a logout is worth', {
      timeout: 120_000,
    }, async () => {
      await using database = await createDatabase(inject('databaseUrl'), 'demo');
      await using demo = startProcess(new URL('../demo.ts', import.meta.url), { env: { DATABASE_URL: database.url } });
      const { code } = await demo.exited;
      expect(code, demo.output()).toBe(0);
    });
  });
});
