/** The pub-sub benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requireRedis } from '@patterns/services/testing';
import { afterEach, expect, test, vi } from 'vitest';
import * as pubSub from '../pub-sub.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requireRedis()('with Redis', () => {
  test('pub-sub: messages are worked off, published and heard', { timeout: 120_000 }, async () => {
    await using _leaks = noLeaks();
    vi.stubEnv('KAFKA_BROKERS', undefined);
    const { tables } = await runTiny(pubSub, 'pub-sub');
    const [consumed, published, heard] = tables;
    expect(consumed!.rows).toHaveLength(2);
    expect(published!.rows).toHaveLength(6);
    expect(heard!.rows.map(({ name }) => name)).toEqual(['redis-pubsub', 'redis-streams']);
    for (const { name, cells } of heard!.rows) {
      expect(cells[heard!.columns.indexOf('lost')], name).toEqual({ median: 0, min: 0, max: 0 });
    }
  });
});
