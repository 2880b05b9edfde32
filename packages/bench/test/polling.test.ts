/** The polling benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { expect, test } from 'vitest';
import * as polling from '../polling.ts';
import { runTiny } from './run-tiny.ts';

test('polling: empty polls of each contestant, and news at each interval', { timeout: 120_000 }, async () => {
  await using _leaks = noLeaks();
  const { tables, targets } = await runTiny(polling, 'polling');
  const [empty, staleness] = tables;
  const bytesOf = (name: string) =>
    empty!.rows.find((row) => row.name === name)!.cells[empty!.columns.indexOf('bytes of the answer')]!.median;
  // Whoever says what it has gets a head, and whoever does not gets a body as well: else they are not what they are called.
  expect(bytesOf('ours, 304')).toBeLessThan(200);
  expect(bytesOf('textbook, Express makes an ETag, 304')).toBeLessThan(250);
  expect(bytesOf('textbook, whole body')).toBeGreaterThan(1_000);

  expect(staleness!.rows).toHaveLength(5);
  for (const { name, cells } of staleness!.rows) {
    const of = (column: string) => cells[staleness!.columns.indexOf(column)]!.median;
    expect(of('worst, ms'), name).toBeGreaterThanOrEqual(of('mean staleness, ms'));
    expect(of('bytes per event'), name).toBeGreaterThan(60); // the event itself
    expect(of('empty polls, %'), name).toBeLessThanOrEqual(100);
  }
  expect(targets.map(({ unit }) => unit)).toEqual(['%', '%', '%', '%', '']);
});
