/** The reporter in a Vitest of its own, a process over tests written for the occasion. */
import { execFile } from 'node:child_process';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const vitest = fileURLToPath(new URL('../../../node_modules/vitest/vitest.mjs', import.meta.url));
const reporter = fileURLToPath(new URL('../totals-reporter.ts', import.meta.url));

/** The exit code of a run over one file with that text, and the last lines it printed. */
async function run(text: string, { args = [] as string[], env = {} } = {}) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'house-'));
  await writeFile(join(folder.path, 'a.test.js'), text);
  const reporters = ['--reporter=default', `--reporter=${reporter}`];
  const { code, stdout } = await new Promise<{ code: number; stdout: string }>((resolve) => {
    execFile(
      process.execPath,
      [vitest, 'run', '--root', folder.path, '--globals', ...reporters, ...args],
      { env: { ...process.env, NO_COLOR: '1', REQUIRE_EXTRAS: '', ...env } },
      (error, stdout) => resolve({ code: Number(error?.code ?? 0), stdout }),
    );
  });
  return { code, last: stdout.trimEnd().split('\n').slice(-3), stdout };
}

const passing = "test('a', () => {}); test('b', () => {});";
// Put together, so that `pnpm check` does not take this file's own tests for skipped ones.
const skip = 'skip';
const skipping = `describe.${skip}('behind nginx (no nginx)', () => { test('streams', () => {}); });`;

test('a run that passes ends with its totals', async () => {
  const { code, last } = await run(passing);
  expect({ code, last: last.at(-1) }).toEqual({ code: 0, last: '2 passed, 0 failed' });
});

test('a failed test is counted', async () => {
  const { code, last } = await run(`${passing} test('c', () => { throw new Error('no'); });`);
  expect({ code, last: last.at(-1) }).toEqual({ code: 1, last: '2 passed, 1 failed' });
});

test.each([
  ['a file that does not load', 'throw new Error("no");', '0 passed, 1 failed'],
  ['a hook that fails', `${passing} afterAll(() => { throw new Error('no'); });`, '2 passed, 1 failed'],
  ['an error that nobody caught', `${passing} void Promise.reject(new Error('no'));`, '2 passed, 1 failed'],
])('%s counts as failed', async (_what, text, totals) => {
  const { code, last } = await run(text);
  expect({ code, last: last.at(-1) }).toEqual({ code: 1, last: totals });
});

test('skipped tests are named, with what they miss, and counted', async () => {
  const { code, last } = await run(`${passing} ${skipping} test('d', (context) => context.${skip}('no moon'));`);
  expect({ code, last }).toEqual({
    code: 0,
    last: ['skipped: behind nginx (no nginx) > streams', 'skipped: d (no moon)', '2 passed, 0 failed, 2 skipped'],
  });
});

test('with REQUIRE_EXTRAS=1 a skipped test fails the run', async () => {
  const { code, last } = await run(`${passing} ${skipping}`, { env: { REQUIRE_EXTRAS: '1' } });
  expect({ code, last }).toEqual({
    code: 1,
    last: [
      'skipped: behind nginx (no nginx) > streams',
      'REQUIRE_EXTRAS=1: a skipped test is a failure',
      '2 passed, 0 failed, 1 skipped',
    ],
  });
});

test('clauses of a contract make a table, as their tests found them', async () => {
  const clause = (of: string, name: string, kept: boolean, body: string) =>
    `test('x', { meta: { clause: { contract: 'delivery', of: '${of}', clause: '${name}', kept: ${kept} } } }, () => { ${body} });`;
  const { stdout } = await run(
    [
      clause('sse', 'order', true, ''),
      clause('pub-sub', 'order', true, ''),
      clause('sse', 'resume', true, "throw new Error('no');"),
      clause('pub-sub', 'resume', false, ''),
      clause('sse', 'shutdown', true, ''),
    ].join('\n'),
  );
  const table = [
    'delivery  sse     pub-sub',
    'order     kept    kept',
    'resume    failed  not kept',
    'shutdown  kept    -',
    '',
    '4 passed, 1 failed',
  ];
  expect(stdout).toContain(`\n\n${table.join('\n')}\n`);
});

test('tests that -t leaves out are not skipped', async () => {
  const { code, last } = await run(passing, { args: ['-t', 'b'], env: { REQUIRE_EXTRAS: '1' } });
  expect({ code, last: last.at(-1) }).toEqual({ code: 0, last: '1 passed, 0 failed' });
});
