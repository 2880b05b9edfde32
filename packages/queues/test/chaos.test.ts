/** `pnpm chaos queues`, small: one kill of each kind. */
import { createDatabase } from '@patterns/services/database';
import { requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';
import { run } from '../chaos.ts';

requireRedis()('chaos', () => {
  test('a worker, a front, the line to the broker and PostgreSQL backends die, and each customer is told once', async () => {
    await using database = await createDatabase(inject('databaseUrl'), 'chaos');
    const said: string[] = [];
    const { counted, wrong } = await run({
      seed: 4,
      kills: 4,
      items: 300,
      env: { DATABASE_URL: database.url, REDIS_URL: inject('redisUrl'), REDIS_PREFIX: inject('redisPrefix') },
      flags: {},
      deadlineMs: 50_000,
      say: (line) => said.push(line),
      signal: new AbortController().signal,
    });
    expect(wrong, said.join('\n')).toEqual([]);
    expect(counted).toMatchObject({
      'killed: worker': 1,
      'killed: front': 1,
      'killed: connections to the broker': 1,
      'killed: PostgreSQL backends': 1,
    });
    // A payment that got no answer was paid again.
    expect(counted['told once']).toBeGreaterThanOrEqual(300);
  }, 60_000);
});
