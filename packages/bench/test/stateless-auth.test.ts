/** The stateless-auth benchmark from end to end, in the smallest size: that it runs and what it hands over, not how fast anything was. */
import { noLeaks } from '@patterns/kit/testing/leaks';
import { expect, test } from 'vitest';
import * as statelessAuth from '../stateless-auth.ts';
import { signers, verifiers } from '../stateless-auth-verifiers.ts';
import { runTiny } from './run-tiny.ts';

test('stateless-auth: the targets are measured, and every server lets the bearer of a token in', {
  timeout: 60_000,
}, async () => {
  await using _leaks = noLeaks();
  const { tables } = await runTiny(statelessAuth, 'stateless-auth');
  expect(tables.map(({ rows }) => rows.length)).toEqual([4, 1, 3]);
  for (const { rows } of tables) for (const { name, cells } of rows) expect(cells[0]!.median, name).toBeGreaterThan(0);
});

test('stateless-auth: what is compared verifies: a token with another signature is refused', {
  timeout: 60_000,
}, async () => {
  for (const [name, prepare] of Object.entries(verifiers)) {
    const { tokens, once } = await prepare(3);
    for (const token of tokens) await once(token);
    if (name.startsWith('node:crypto')) continue; // it has one token, whatever it is given
    const end = tokens[0]!.lastIndexOf('.') + 1;
    const forged = tokens[0]!.slice(0, end) + tokens[0]!.slice(end).split('').reverse().join('');
    await expect((async () => once(forged))(), name).rejects.toThrow();
  }
  for (const prepare of Object.values(signers))
    expect(((await (await prepare(0)).once('')) as string).split('.')).toHaveLength(3);
});
