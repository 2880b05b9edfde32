/** What a demo prints, as it is printed: by a process into a pipe, and on a terminal. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { table } from '../story.ts';
import { startProcess } from '../testing/processes.ts';

const telling = new URL('./fixtures/telling.ts', import.meta.url);
const PLAIN = { NO_COLOR: undefined, FORCE_COLOR: undefined };

async function tell(how: string, env: Record<string, string | undefined> = PLAIN): Promise<string> {
  await using child = startProcess(telling, { args: [how], env });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  return child.lines.items.join('\n');
}

test('actors have a column each, arrows point the way the bytes go', async () => {
  const told = (await tell('sound')).replace(/^ +\d+\.\d\d s/gm, '  0.00 s');
  expect(told).toBe(`
naive: what goes wrong

  0.00 s   client   → server A   GET /
  0.00 s   client   ← B          200 OK
  0.00 s   client                waits
  0.00 s              server A   cooks
  0.00 s            ✂            the line is cut
           try it: curl -N http://127.0.0.1/

                 naive   sound
  sent              30      30
  lost              13       -
  delay, worst       -    7 ms

  ✓ nothing is lost
  ✓ nothing comes twice

all claims hold: true`);
});

test('one claim that does not hold is enough', async () => {
  const told = await tell('broken');
  expect(told).toContain('  ✗ nothing is lost\n  ✓ nothing comes twice');
  expect(told).toContain('all claims hold: false');
});

test('a demo that claims nothing shows nothing', async () => {
  expect(await tell('silent')).toContain('all claims hold: false');
});

test('the clock is the time since the beginning', async () => {
  const seconds = [...(await tell('sound')).matchAll(/^ +(\d+\.\d\d) s/gm)].map(([, time]) => Number(time));
  expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
  expect(seconds[0]).toBeLessThan(5);
});

describe('colours', () => {
  test('into a pipe: none', async () => {
    const told = await tell('sound');
    expect(told).toBe(stripVTControlCharacters(told));
  });

  test('into a pipe with FORCE_COLOR', async () => {
    expect(await tell('sound', { ...PLAIN, FORCE_COLOR: '1' })).toContain('\u001b[33mthe line is cut\u001b[39m');
  });

  test('on a terminal', async () => {
    expect(await tellOnTerminal({ TERM: 'xterm-256color' })).toContain('\u001b[32m✓\u001b[39m nothing is lost');
  });

  test('on a terminal with NO_COLOR: none', async () => {
    const told = await tellOnTerminal({ TERM: 'xterm-256color', NO_COLOR: '1' });
    expect(told).toContain('✓ nothing is lost');
    expect(told).toBe(stripVTControlCharacters(told));
  });
});

test('a table aligns its first column to the left and numbers to the right', () => {
  const cells = [
    ['', 'a', 'column'],
    ['short', '1', '22'],
    ['longer', '333', '-'],
  ];
  expect(table(cells)).toBe('             a   column\n  short      1       22\n  longer   333        -');
  expect(table([])).toBe('');
});

/** `script` runs a command on a terminal of its own; the system's C library brings it, on Linux and macOS in two dialects. */
async function tellOnTerminal(env: Record<string, string>): Promise<string> {
  const command = [process.execPath, telling.pathname, 'sound'];
  const args =
    process.platform === 'darwin' ? ['-q', '/dev/null', ...command] : ['-qec', command.join(' '), '/dev/null'];
  // Nothing else of our environment: Node asks a dozen variables (CI, TMUX, COLORTERM, ...) whether a terminal has colours.
  const script = spawn('script', args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return (await text(script.stdout)).replaceAll('\r\n', '\n');
}
