/** Every benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as connectionPooling from '../connection-pooling.ts';
import * as requestResponse from '../request-response.ts';
import * as sse from '../sse.ts';
import { runTiny } from './run-tiny.ts';

/** Beyond any benchmark's tiny size, on a machine where others work as well. */
const withinMs = 60_000;

afterEach(() => vi.unstubAllEnvs());

test('sse: events reach every subscriber of every contestant', { timeout: withinMs }, async () => {
  await using _leaks = noLeaks();
  const results = await runTiny(sse, 'sse');
  const names = results.tables[0]!.rows.map(({ name }) => name);
  expect(names.slice(0, 3)).toEqual(['bare node:http', 'ours', 'better-sse']);
  for (const { columns, rows } of results.tables.slice(0, 2)) {
    for (const { name, cells } of rows) {
      expect(cells[columns.indexOf('lost')], name).toEqual({ median: 0, min: 0, max: 0 });
      // 200 bytes and HTTP's framing, whatever the contestant: else they are not compared.
      expect(Math.abs(cells[columns.indexOf('bytes per delivery')]!.median - 205), name).toBeLessThan(15);
    }
  }
});

requirePostgres()('with PostgreSQL', () => {
  test('request-response: each contestant answers the menu', { timeout: withinMs }, async () => {
    await using _leaks = noLeaks();
    vi.stubEnv('DATABASE_URL', inject('databaseUrl'));
    const { tables } = await runTiny(requestResponse, 'request-response');
    expect(tables[0]!.rows).toHaveLength(5);
  });

  test('connection-pooling: a row per way to a connection', { timeout: withinMs }, async () => {
    await using _leaks = noLeaks();
    const { tables } = await runTiny(connectionPooling, 'connection-pooling');
    expect(tables[0]!.rows).toHaveLength(5);
    expect(tables[0]!.note).toMatch(/^The knee: pool of \d+ /);
  });
});
