/** The http2-multiplexing benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { expect, test } from 'vitest';
import * as http2Multiplexing from '../http2-multiplexing.ts';
import { runTiny } from './run-tiny.ts';

test('http2-multiplexing: connections and bytes of every way are what they must be', { timeout: 90_000 }, async () => {
  await using _leaks = noLeaks();
  const { tables } = await runTiny(http2Multiplexing, 'http2-multiplexing');
  const [pages, rates, folds] = tables;
  const of = (column: string) =>
    Object.fromEntries(pages!.rows.map(({ name, cells }) => [name, cells[pages!.columns.indexOf(column)]!.median]));
  expect(of('connections')).toEqual({
    'HTTP/1.1, a connection for each': 100,
    'HTTP/1.1 kept, node:https': 6,
    'HTTP/1.1 kept, undici': 6,
    'HTTP/2, undici': 1,
    'HTTP/2, bare node:http2': 1,
    'HTTP/2, ours': 1,
  });
  expect(of('bytes per request')['HTTP/2, ours']).toBeLessThanOrEqual(200);
  expect(rates!.rows).toHaveLength(4);
  expect(folds!.rows).toHaveLength(3);
});
