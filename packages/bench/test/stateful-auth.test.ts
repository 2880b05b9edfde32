/** The stateful-auth benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as statefulAuth from '../stateful-auth.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requireRedis()('with Redis', () => {
  requirePostgres()('with PostgreSQL', () => {
    test('stateful-auth: only the sessions in Redis ask it, and every server knows its user', {
      timeout: 60_000,
    }, async () => {
      await using _leaks = noLeaks();
      vi.stubEnv('DATABASE_URL', inject('databaseUrl'));
      const { tables } = await runTiny(statefulAuth, 'stateful-auth');
      expect(tables.map(({ rows }) => rows.length)).toEqual([6, 1]);
      const [asked] = tables;
      const commands = asked!.columns.indexOf('Redis commands per request');
      const asksRedis = asked!.rows.filter(({ cells }) => cells[commands]!.median >= 1).map(({ name }) => name);
      expect(asksRedis).toEqual(['a session in Redis, our store', 'a session in Redis, our server']);
    });
  });
});
