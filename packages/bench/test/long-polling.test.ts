/** The long-polling benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { expect, test } from 'vitest';
import * as longPolling from '../long-polling.ts';
import { runTiny } from './run-tiny.ts';

test('long-polling: an event reaches everybody who is parked, at each contestant', { timeout: 120_000 }, async () => {
  await using _leaks = noLeaks();
  const { tables } = await runTiny(longPolling, 'long-polling');
  const [wakes, latency] = tables;
  expect(wakes!.rows.map(({ name }) => name)).toEqual(['bare node:http', 'ours']);
  expect(latency!.rows.map(({ name }) => name)).toEqual(['textbook, looks each second', 'ours']);
  for (const { columns, rows } of [wakes!, latency!]) {
    for (const { name, cells } of rows) {
      expect(cells[columns.indexOf('lost')], name).toEqual({ median: 0, min: 0, max: 0 });
    }
  }
  // The same bytes, whatever the contestant: else they are not compared.
  const [bare, ours] = wakes!.rows.map(({ cells }) => cells[wakes!.columns.indexOf('bytes per answer')]!.median);
  expect(Math.abs(bare! - ours!)).toBeLessThan(10);
});
