/** The queues benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as queues from '../queues.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requireRedis()('with Redis', () => {
  requirePostgres()('and PostgreSQL', () => {
    test('queues: every contestant does its jobs, and payments are made in both ways', {
      timeout: 120_000,
    }, async () => {
      await using _leaks = noLeaks();
      vi.stubEnv('DATABASE_URL', inject('databaseUrl'));
      const { tables } = await runTiny(queues, 'queues');
      const [jobs, payments] = tables;
      expect(jobs!.rows).toHaveLength(9);
      expect(payments!.rows).toHaveLength(6);
      expect(jobs!.note).toContain('graphile-worker: at least once');
    });
  });
});
