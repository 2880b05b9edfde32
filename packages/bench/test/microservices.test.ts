/** The microservices benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as microservices from '../microservices.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requireRedis()('with Redis', () => {
  requirePostgres()('and PostgreSQL', () => {
    test('microservices: orders are taken whole and split, also by a slow payment', { timeout: 120_000 }, async () => {
      await using _leaks = noLeaks();
      vi.stubEnv('DATABASE_URL', inject('databaseUrl'));
      vi.stubEnv('REDIS_URL', inject('redisUrl'));
      const { tables } = await runTiny(microservices, 'microservices');
      const [split, share, slow] = tables;
      expect([split!.rows.length, share!.rows.length, slow!.rows.length]).toEqual([4, 9, 2]);
      for (const { name, cells } of split!.rows) {
        expect(cells[0]!.min, name).toBeGreaterThan(0);
        expect(cells[3]!.min, name).toBeGreaterThan(0);
      }
      expect(slow!.rows.map(({ cells }) => cells[0]!.min > 90)).toEqual([true, true]);
    });
  });
});
