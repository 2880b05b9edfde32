/** The life of real processes: how they end, in which order they release, and with which exit code. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { noLeaks } from '../testing/leaks.ts';
import { startProcess } from '../testing/processes.ts';
import { until, within } from '../testing/until.ts';
import { startWitness } from './fixtures/witness.ts';

const program = new URL('./fixtures/life.ts', import.meta.url);
const parent = new URL('./fixtures/parent.ts', import.meta.url);

/** Longer than `SECOND_INTERRUPT_MS`: nothing but time tells a second ^C from an echo of the first. */
const AFTER_A_SECOND_MS = 600;

async function start(...args: string[]) {
  const child = startProcess(program, { args });
  await child.line(/^ready$/);
  return child;
}

test('a program that has nothing more to do ends with 0', async () => {
  await using _leaks = noLeaks();
  await using child = await start('end');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops it, releases the last opened first, and ends with 0`, async () => {
    await using _leaks = noLeaks();
    await using child = await start('stay');
    expect(await child.kill(signal)).toEqual({ code: 0, signal: null });
    expect(child.lines.items).toEqual(['ready', 'stopping', 'released the second', 'released the first']);
  });
}

test('what the program was doing when it was stopped may fail: that is no failure', async () => {
  await using child = await start('fail-on-stop');
  expect(await child.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  expect(child.output()).not.toContain('AbortError');
});

test('a failing program says why, releases, and ends with 1', async () => {
  await using _leaks = noLeaks();
  await using child = await start('fail', 'stay');
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.output()).toMatch(/Error: a fault of ours\n {4}at .*life\.ts:\d+/);
  expect(child.lines.items).toEqual(['ready', 'released the second', 'released the first']);
});

test('a mistake in how it was started is one line, without a stack', async () => {
  const errors: string[] = [];
  await using child = startProcess(program, {
    args: ['misconfigured'],
    onLine: (line, stream) => stream === 'stderr' && errors.push(line),
  });
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(errors).toEqual(['PORT=x: expected an integer']);
  expect(child.lines.items.at(-1)).toBe('released the first');
});

test('what cannot be released does not keep the rest from it, and ends with 1', async () => {
  await using child = await start('stay', 'release-fails');
  expect(await child.kill('SIGTERM')).toEqual({ code: 1, signal: null });
  expect(child.output()).toContain('cannot release');
  expect(child.output(), 'a crash').not.toContain('Node.js v');
  expect(child.lines.items.at(-1)).toBe('released the first');
});

test('a signal while a failed program releases does not cut that short', async () => {
  await using child = await start('fail', 'release-slowly');
  await until('the failure', () => child.output().includes('a fault of ours'));
  expect(await child.kill('SIGTERM')).toEqual({ code: 1, signal: null });
  expect(child.lines.items.at(-1)).toBe('released the first');
});

test('^C that comes twice at once, from the terminal and from the parent, is one', async () => {
  await using child = await start('stay', 'release-slowly', 'interrupt-again');
  expect(await child.kill('SIGINT')).toEqual({ code: 0, signal: null });
  expect(child.lines.items.at(-1)).toBe('released the first');
});

test('a second ^C later on ends it now, with 130', async () => {
  await using child = await start('stay', 'release-hangs');
  process.kill(child.pid, 'SIGINT');
  await child.line(/^stopping$/);
  await delay(AFTER_A_SECOND_MS);
  expect(await within('exit', 5_000, child.kill('SIGINT'))).toEqual({ code: 130, signal: null });
});

test('a release that hangs is given up before an orchestrator would kill, with 1', async () => {
  await using child = await start('stay', 'release-hangs');
  expect(await within('exit', 15_000, child.kill('SIGTERM'))).toEqual({ code: 1, signal: null });
  expect(child.output()).toContain('not released within 8 s');
});

test('kill -9 of its parent stops it, and it releases', async () => {
  await using witness = await startWitness();
  await using elder = startProcess(parent, { args: [fileURLToPath(program), 'stay'], env: { WITNESS: witness.port } });
  await elder.line(/^child \d+$/);
  await elder.kill('SIGKILL');
  expect(await within('end of the child', 10_000, witness.gone)).toEqual([
    'ready',
    'stopping',
    'released the second',
    'released the first',
  ]);
});

test('a parent that has died before the program was loaded stops it too', async () => {
  const child = fork(program, ['stay', 'load-slowly'], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  child.disconnect();
  try {
    expect(await within('exit', 10_000, exited)).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
  }
});
