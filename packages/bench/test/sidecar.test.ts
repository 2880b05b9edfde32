/** The sidecar benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requireRedis } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as sidecar from '../sidecar.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requireRedis()('with Redis', () => {
  test('sidecar: the app is asked through each of them, and directly', { timeout: 60_000 }, async () => {
    await using _leaks = noLeaks();
    vi.stubEnv('REDIS_URL', inject('redisUrl'));
    const { tables } = await runTiny(sidecar, 'sidecar');
    const [table] = tables;
    expect(table!.rows).toHaveLength(5);
    for (const { name, cells } of table!.rows) {
      expect(cells[0]!.min, name).toBeGreaterThan(0);
      expect(cells[2]!.min, name).toBeGreaterThan(0);
    }
  });
});
