/** The stateless-auth benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { expect, test } from 'vitest';
import * as statelessAuth from '../stateless-auth.ts';
import { runTiny } from './run-tiny.ts';

test('stateless-auth: every verifier takes its tokens, and every server lets their bearer in', {
  timeout: 60_000,
}, async () => {
  await using _leaks = noLeaks();
  const { tables } = await runTiny(statelessAuth, 'stateless-auth');
  expect(tables.map(({ rows }) => rows.length)).toEqual([12, 4, 5]);
  for (const { rows } of tables) for (const { name, cells } of rows) expect(cells[0]!.median, name).toBeGreaterThan(0);
});
