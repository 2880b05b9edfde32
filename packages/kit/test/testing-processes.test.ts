/** Processes that really run, fail, and are killed. */
import { expect, test } from 'vitest';
import { startProcess } from '../testing/processes.ts';
import { until } from '../testing/until.ts';

const program = new URL('./fixtures/program.ts', import.meta.url);

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('url resolves with what the process says it listens on', async () => {
  await using child = startProcess(program, { args: ['listen', 'stay'] });
  expect(await child.url()).toBe('http://127.0.0.1:4242/');
});

test('url rejects with the last lines of a process that failed to start', async () => {
  await using child = startProcess(program, { args: ['warn:no such database', 'fail'], name: 'the server' });
  await expect(child.url()).rejects.toThrow(/the server exited with code 1.*no such database.*on purpose/s);
  await expect(child.line(/never/)).rejects.toThrow('the server exited with code 1');
  expect(await child.exited).toEqual({ code: 1, signal: null });
});

test('url rejects after its deadline with what was printed instead', async () => {
  await using child = startProcess(program, { args: ['print:thinking', 'stay'], name: 'the server' });
  await child.line(/thinking/);
  await expect(child.url(20)).rejects.toThrow(/Not within 20 ms: "listening on <url>" of the server\nthinking/);
});

test('lines come with their stream, and can be awaited before and after they are printed', async () => {
  const seen: string[] = [];
  await using child = startProcess(program, {
    args: ['print:one', 'warn:two', 'print:three'],
    onLine: (line, stream) => seen.push(`${stream} ${line}`),
  });
  expect(await child.line((line) => line.startsWith('th'))).toBe('three');
  expect(await child.line(/one/)).toBe('one');
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(seen.toSorted()).toEqual(['stderr two', 'stdout one', 'stdout three']);
  expect(child.output().split('\n').toSorted()).toEqual(['one', 'three', 'two']);
});

test('env is added to ours, and undefined removes', async () => {
  process.env.GONE = 'inherited';
  await using child = startProcess(program, { args: ['env'], env: { PROBE: 'given', GONE: undefined } });
  delete process.env.GONE;
  expect(await child.line(/PROBE/)).toBe('PROBE=given GONE=undefined');
});

test('kill -9 leaves no time for anything', async () => {
  await using child = startProcess(program, { args: ['polite', 'deaf', 'stay', 'print:ready'] });
  await child.line(/ready/);
  expect(await child.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  expect(isAlive(child.pid)).toBe(false);
});

test('disposing asks politely', async () => {
  const child = startProcess(program, { args: ['polite', 'stay', 'print:ready'] });
  await child.line(/ready/);
  await child[Symbol.asyncDispose]();
  expect(await child.exited).toEqual({ code: 7, signal: null });
});

test('an aborted signal stops it', async () => {
  const aborter = new AbortController();
  await using child = startProcess(program, { args: ['polite', 'stay', 'print:ready'], signal: aborter.signal });
  await child.line(/ready/);
  aborter.abort();
  expect(await child.exited).toEqual({ code: 7, signal: null });
  expect(() => startProcess(program, { signal: aborter.signal })).toThrow('aborted');
});

test('a child learns that its parent was killed with -9', async () => {
  await using parent = startProcess(program, { args: ['parent', 'stay'] });
  const pid = Number((await parent.line(/grandchild/)).split(' ')[1]);
  expect(isAlive(pid)).toBe(true);
  await parent.kill();
  await until('the grandchild is gone', () => !isAlive(pid));
});
