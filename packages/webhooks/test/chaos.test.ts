/** The chaos run in its smallest size: that it kills, counts and ends; the command does it a hundred times as long. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';
import { run } from '../chaos.ts';

requirePostgres()('chaos', () => {
  test('a dispatcher, the shop and backends are killed: nothing is lost, nothing doubled', {
    timeout: 90_000,
  }, async () => {
    await using _leaks = noLeaks();
    const said: string[] = [];
    const { counted, wrong } = await run({
      seed: 4,
      kills: 3,
      items: 150,
      env: { DATABASE_URL: inject('databaseUrl') },
      flags: {},
      deadlineMs: 60_000,
      say: (line) => said.push(line),
      signal: new AbortController().signal,
    });
    expect(wrong).toEqual([]);
    expect(counted).toMatchObject({ 'not booked': 0, 'booked twice': 0, 'killed: shop': 1, 'killed: dispatcher': 1 });
    expect(counted['booked once']).toBeGreaterThanOrEqual(150);
    expect(said.filter((line) => /kill -9|terminated/.test(line))).toHaveLength(3);
  });
});
