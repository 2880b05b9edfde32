/** The websocket-push benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { expect, test } from 'vitest';
import { renderResults } from '../render.ts';
import { run } from '../websocket-push.ts';

/** Beyond the tiny size, on a machine where others work as well. */
const timeout = 60_000;

test('websocket-push: events reach every subscriber of every contestant', { timeout }, async () => {
  await using _leaks = noLeaks();
  const said: string[] = [];
  const results = await run({ size: 'tiny', say: (line) => said.push(line) });
  expect(results).toMatchObject({ bench: 'websocket-push', shortened: true, rounds: 1 });
  expect(said.some((line) => /spinning threads lose/.test(line))).toBe(true);

  const [slow, fast, idle] = results.tables;
  for (const { columns, rows } of [slow!, fast!]) {
    expect(rows.map(({ name }) => name).slice(0, 3)).toEqual(['plain ws.send loop', 'ours', 'socket.io']);
    for (const { name, cells } of rows) {
      expect(cells[columns.indexOf('lost')], name).toEqual({ median: 0, min: 0, max: 0 });
      // 200 bytes and a header of four, whatever the contestant: else they are not compared.
      expect(Math.abs(cells[columns.indexOf('bytes per delivery')]!.median - 204), name).toBeLessThan(10);
      for (const cell of cells) expect(cell?.min, name).toBeGreaterThanOrEqual(0);
    }
  }
  // Memory after garbage collection may shrink.
  expect(idle!.rows.map(({ cells }) => Number.isFinite(cells[0]?.median))).not.toContain(false);
  expect(results.targets.map(({ measured }) => Number.isFinite(measured.median))).not.toContain(false);
  expect(renderResults(JSON.parse(JSON.stringify(results)))).toContain(slow!.title);
});
