/** The commands of package.json, as processes: a slip of the pen is answered in a line, with what was probably meant. */
import { startProcess } from '@patterns/kit/testing/processes';
import { expect, test } from 'vitest';

const script = (...args: string[]) => startProcess(new URL('../../../scripts/start.mjs', import.meta.url), { args });

test.each([
  ['dev', 'There is no pattern "ssse". Did you mean sse?'],
  ['test', 'There is no package "ssse" to test. Did you mean sse?'],
  ['bench', 'There is no pattern "ssse". Did you mean sse?'],
  ['chaos', 'There is no pattern "ssse". Did you mean sse?'],
  ['docs-sync', 'There is no pattern "ssse". Did you mean sse?'],
])('pnpm %s ssse', async (name, answer) => {
  await using command = script(name, 'ssse');
  expect((await command.exited).code).toBe(1);
  expect(command.output()).toBe(answer);
});

test('without a name, and with --help, they say how they are used', async () => {
  await using bench = script('bench');
  await using sync = script('docs-sync', '--help');
  expect([(await bench.exited).code, (await sync.exited).code]).toEqual([0, 0]);
  expect(bench.output()).toContain('usage: pnpm bench <pattern> [--quick]');
  expect(sync.output()).toContain('usage: pnpm docs:sync [pattern...] [--all] [--check]');
});
