/** The rest-vs-graphql benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as restVsGraphql from '../rest-vs-graphql.ts';
import { runTiny } from './run-tiny.ts';

afterEach(() => vi.unstubAllEnvs());

requirePostgres()('with PostgreSQL', () => {
  test('rest-vs-graphql: every way asks what it must for the feed, and no more', { timeout: 60_000 }, async () => {
    await using _leaks = noLeaks();
    vi.stubEnv('DATABASE_URL', inject('databaseUrl'));
    const { tables } = await runTiny(restVsGraphql, 'rest-vs-graphql');
    const { columns, rows } = tables[0]!;
    const counted = ['requests', 'round trips', 'SQL statements'].map((figure) => columns.indexOf(figure));
    expect(rows.map(({ cells }) => counted.map((column) => cells[column]!.median))).toEqual([
      [31, 3, 31],
      [31, 3, 31],
      [1, 1, 51],
      [1, 1, 4],
      [1, 1, 4],
    ]);
  });
});
