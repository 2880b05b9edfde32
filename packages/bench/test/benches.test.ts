/** Every benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requirePostgres } from '@patterns/services/testing';
import { afterEach, expect, inject, test, vi } from 'vitest';
import * as connectionPooling from '../connection-pooling.ts';
import { renderResults } from '../render.ts';
import * as requestResponse from '../request-response.ts';
import type { Results } from '../results.ts';
import type { BenchOptions } from '../rounds.ts';
import * as sse from '../sse.ts';

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

/** Runs it, and checks what all have in common. */
async function runTiny(bench: { run: (options: BenchOptions) => Promise<Results> }, name: string): Promise<Results> {
  const said: string[] = [];
  const results = await bench.run({ size: 'tiny', say: (line) => said.push(line) });
  expect(results).toMatchObject({ bench: name, shortened: true, rounds: 1 });
  expect(results.plot).toBeUndefined(); // only a full run draws one
  expect(results.noise.median).toBeGreaterThanOrEqual(0);
  expect(said.some((line) => /spinning threads lose/.test(line))).toBe(true);
  for (const { columns, rows } of results.tables) {
    for (const { name, cells } of rows) {
      expect(cells, name).toHaveLength(columns.length);
      // Memory after garbage collection may shrink; everything else that was measured is more than nothing, or nothing lost.
      const figures = cells.filter((_, i) => columns[i] !== 'resident memory per stream, KB');
      for (const cell of figures) expect(cell?.min, name).toBeGreaterThanOrEqual(0);
    }
  }
  expect(results.targets.length).toBeGreaterThan(0);
  expect(renderResults(JSON.parse(JSON.stringify(results)))).toContain(results.tables[0]!.title);
  return results;
}
