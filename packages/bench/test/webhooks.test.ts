/** The webhooks benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as webhooks from '../webhooks.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requirePostgres()('with PostgreSQL', () => {
  test('webhooks: all sign alike, and everything arrives', { timeout: 60_000 }, async () => {
    await using _leaks = noLeaks();
    vi.stubEnv('DATABASE_URL', inject('databaseUrl'));
    const { tables } = await runTiny(webhooks, 'webhooks');
    const peers = ['bare node:crypto', 'ours', 'standardwebhooks', 'svix', 'bare, the key as bytes'];
    expect(tables.map(({ rows }) => rows.map(({ name }) => name))).toEqual([peers, ['one endpoint', 'ten endpoints']]);
    for (const { rows } of tables)
      for (const { cells } of rows) for (const cell of cells) expect(cell!.min).toBeGreaterThan(0);
  });
});
