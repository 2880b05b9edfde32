/** What code may try, and what becomes of it: each is contained, and gets the verdict that it earned. */
import { describe, expect, test } from 'vitest';
import { LIMITS, runCode } from '../sandbox.ts';

const KIBI = 1024;
const limits = { cpuMs: 200, memoryBytes: 32 * KIBI * KIBI, outputBytes: 2 * KIBI };
const run = (code: string, input = '') => runCode({ code, input, limits });

// Each run is a process that waits for a processor, so the tests wait together.
describe('a sandbox', { concurrent: true, timeout: 60_000 }, () => {
  test('gives the code its input, and takes what it prints', async () => {
    const code = `
      const numbers = input.split(',').map(Number);
      print(numbers.reduce((a, b) => a + b));
      console.log({ numbers }, await Promise.resolve('ü\\0"'));`;
    const verdict = await run(code, '1,2,39');
    expect(verdict).toEqual({
      outcome: 'finished',
      output: '42\n{"numbers":[1,2,39]} ü\0"\n',
      cpuMs: expect.any(Number),
    });
  });

  test.each([
    ['an endless loop, though it catches everything', 'for (;;) try { for (;;); } catch {} finally { continue }'],
    ['a backtracking regular expression', "/^(a+)+$/.test('a'.repeat(40) + 'b')"],
    ['promises without end', 'const again = () => Promise.resolve().then(again); again()'],
    ['awaiting without end', 'for (;;) await null'],
    ['an error that takes for ever to read', 'throw { get name() { for (;;); } }'],
  ])('%s: time-limit, and what was printed before is kept', async (_what, code) => {
    const verdict = await run(`print('so far');${code}`);
    expect(verdict).toMatchObject({ outcome: 'time-limit', output: 'so far\n' });
  });

  test('a loop inside the engine, of which nobody is asked, is ended by the kernel: time-limit', async () => {
    expect(await run('const a = []; a.length = 2 ** 32 - 1; a.sort()')).toMatchObject({ outcome: 'time-limit' });
  });

  test.each([
    ['many objects', 'const all = []; for (let i = 0; ; i++) all.push({ i })'],
    ['many bytes', 'const all = []; for (;;) all.push(new Uint8Array(1e5))'],
    ['a long join', "Array(1e6).fill('x'.repeat(1000)).join('')"],
  ])('%s: memory-limit', async (_what, code) => {
    const verdict = await runCode({ code, limits: { ...limits, cpuMs: 10_000 } });
    expect(verdict).toMatchObject({ outcome: 'memory-limit' });
  });

  test('memory that is never given back to it cannot be had by trying again', async () => {
    const code = `
      const all = [];
      for (let failures = 0; failures < 100; ) try { all.push(new Uint8Array(1e6)) } catch { failures++ }
      print(all.length < ${limits.memoryBytes / 1e6})`;
    expect(await run(code)).toMatchObject({ outcome: 'finished', output: 'true\n' });
  });

  test('output without end: output-limit, with as much of it as is allowed', async () => {
    const verdict = await run("for (let i = 0; ; i++) try { print('line', i) } catch {}");
    expect(verdict.outcome).toBe('output-limit');
    expect(verdict.output).toMatch(/^line 0\nline 1\n/);
    expect(Buffer.byteLength(verdict.output)).toBe(limits.outputBytes);
  });

  test.each([
    ['recursion', 'const f = () => 1 + f(); f()'],
    ['brackets that the parser follows', "eval('('.repeat(1e6))"],
    ['a value nested deeper than can be written', 'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; print(a)'],
  ])('deep %s: runtime-error, of the stack', async (_what, code) => {
    const verdict = await run(code);
    expect(verdict).toMatchObject({ outcome: 'runtime-error', error: expect.stringContaining('stack overflow') });
  });

  test.each([
    ['throw new TypeError("no")', 'TypeError: no'],
    ['await Promise.reject(new Error("later"))', 'Error: later'],
    ['let let', 'SyntaxError: '],
    ['await new Promise(() => {})', 'it awaits what never comes'],
  ])('%s: runtime-error', async (code, error) => {
    expect(await run(code)).toMatchObject({ outcome: 'runtime-error', error: expect.stringContaining(error) });
  });

  test('there is nothing of the host in its world, and no way around it', async () => {
    const attempts = [
      'process',
      'require',
      'fetch',
      'setTimeout',
      'WebAssembly',
      'Atomics',
      'Worker',
      'Buffer',
      'std',
      'os',
      "(() => {}).constructor('return process')()",
      "globalThis.constructor.constructor('return process')()",
      "print.constructor('return process')()",
      "(async () => {}).constructor('return process')()",
      "import('node:fs')",
      "import('/etc/passwd')",
      "import('data:text/javascript,export default 1')",
    ];
    const code = attempts
      .map((attempt) => `try { await ${attempt}; print(${JSON.stringify(attempt)}) } catch {}`)
      .join('\n');
    expect(await run(`${code}\nprint('and that is all')`)).toMatchObject({
      outcome: 'finished',
      output: 'and that is all\n',
    });
    expect(await run("import fs from 'node:fs'")).toMatchObject({ outcome: 'runtime-error' });
  });

  test('what one run does to its world, the next one does not see', async () => {
    const first = await run(`
      Object.prototype.polluted = 1; Array.prototype.map = () => []; JSON.stringify = () => '!'; globalThis.left = 1;
      print('done')`);
    expect(first.output).not.toBe('');
    const second = await run('print(({}).polluted, typeof left, [1].map((n) => n + 1))');
    expect(second.output).toBe('undefined undefined [2]\n');
  });

  test('a process that somebody else kills gives no verdict: the job is to be tried again', async () => {
    const killed = runCode({ code: 'for (;;);', limits: LIMITS, onStart: (pid) => process.kill(pid, 'SIGKILL') });
    await expect(killed).rejects.toThrow('the sandbox ended without a verdict: SIGKILL');
  });

  test('who gives up waiting leaves no process behind', async () => {
    const leaving = new AbortController();
    let pid = 0;
    const left = runCode({
      code: 'for (;;);',
      limits: LIMITS,
      signal: leaving.signal,
      onStart(started) {
        pid = started;
        leaving.abort(new Error('the lease is over'));
      },
    });
    await expect(left).rejects.toThrow('the lease is over');
    await expect.poll(() => isAlive(pid)).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
