/** The sync-async benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as syncAsync from '../sync-async.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requirePostgres()('with PostgreSQL', () => {
  test('sync-async: every report of every way is answered, and only a worker works for the accepted ones', {
    timeout: 60_000,
  }, async () => {
    await using _leaks = noLeaks();
    vi.stubEnv('DATABASE_URL', inject('databaseUrl'));
    const { tables } = await runTiny(syncAsync, 'sync-async');
    const [steady, most] = tables;
    expect(steady!.rows).toHaveLength(4);
    expect(most!.rows).toHaveLength(3);
    const of = (name: string, column: string) =>
      steady!.rows.find((row) => row.name === name)!.cells[steady!.columns.indexOf(column)]!.median;
    expect(of('202, in a worker', 'until the report, ms')).toBeGreaterThan(
      of('202, in a worker', 'until the answer, ms'),
    );
    for (const { name, cells } of most!.rows) expect(cells[0]!.median, name).toBeGreaterThan(0);
  });
});
