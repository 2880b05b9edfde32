/** A demo as a process: its flags, its two halves, its end. */
import { expect, test } from 'vitest';
import { startProcess } from '../testing/processes.ts';

const demo = new URL('./fixtures/tiny-demo.ts', import.meta.url);

const start = (args: string[] = [], fault?: string) => startProcess(demo, { args, env: { FAULT: fault } });

/** The order in which a half is opened, told and released; without the table. */
const happened = (lines: readonly string[]) =>
  lines.filter((line) => /^(opened|released|naive:|sound:| {2}[✓✗])/.test(line));

test('naive first, then sound; each releases what it opened, the last one first; the claims; exit code 0', async () => {
  await using child = start();
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(happened(child.lines.items)).toEqual([
    'naive: it fails',
    'opened naive server',
    'opened naive client',
    'released naive client',
    'released naive server',
    'sound: it holds',
    'opened sound server',
    '  ✓ naive: three were lost',
    '  ✓ sound: nothing was lost',
    'released sound server',
  ]);
  expect(child.output()).toContain('         naive   sound\n  lost       3       0');
});

test('what both halves share outlives them, and is released in the end', async () => {
  await using child = startProcess(demo, { env: { KEEP: '1' } });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(child.lines.items.filter((line) => line.endsWith('broker'))).toEqual(['opened broker', 'released broker']);
  expect(child.lines.items.slice(-2)).toEqual(['released sound server', 'released broker']);
});

test('a claim that does not hold makes it fail', async () => {
  await using child = start([], 'claim');
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.output()).toContain('  ✗ sound: nothing was lost');
  expect(child.lines.items.at(-1)).toBe('released sound server');
});

test('one that breaks says how, and releases', async () => {
  await using child = start([], 'throw');
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.output()).toContain('Error: the stage has collapsed');
  expect(child.lines.items.at(-1)).toBe('released sound server');
});

test('--naive and --sound run one half, both run both', async () => {
  const halves = async (...args: string[]) => {
    await using child = start(args);
    expect(await child.exited).toEqual({ code: 0, signal: null });
    return child.lines.items.filter((line) => /^(naive|sound): /.test(line));
  };
  expect(await halves('--naive')).toEqual(['naive: it fails']);
  expect(await halves('--sound')).toEqual(['sound: it holds']);
  expect(await halves('--naive', '--sound')).toEqual(['naive: it fails', 'sound: it holds']);
});

test('--keep tells everything, keeps what is open, and releases it on SIGTERM', async () => {
  await using child = start(['--keep']);
  await child.line(/^The servers stay up/);
  expect(child.lines.items).toContain('released naive server');
  expect(child.lines.items).toContain('  ✓ sound: nothing was lost');
  expect(child.lines.items).not.toContain('released sound server');
  expect(await child.kill('SIGTERM')).toMatchObject({ signal: null });
  expect(child.lines.items.at(-1)).toBe('released sound server');
});

for (const args of [[], ['--keep']]) {
  test(`^C ends a demo${args.map((flag) => ` with ${flag}`).join('')} with 130, and releases`, async () => {
    await using child = start(args, args.length > 0 ? undefined : 'hang');
    await child.line(/^(hanging|The servers stay up)/);
    expect(await child.kill('SIGINT')).toEqual({ code: 130, signal: null });
    expect(child.lines.items.at(-1)).toBe('released sound server');
    expect(child.output()).not.toContain('AbortError');
  });
}

test('--help says what the flags are for, and runs nothing', async () => {
  await using child = start(['--help']);
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(child.lines.items[0]).toBe('usage: node demo.ts [--naive | --sound] [--keep]');
  expect(child.output()).not.toContain('opened');
});

test('an unknown flag is answered with the known ones, without a stack', async () => {
  await using child = start(['--sund']);
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.output()).toMatch(/^Unknown option '--sund'.*--sound/s);
  expect(child.output()).not.toMatch(/ {4}at /);
});

test('a choice is passed on; without one it is the first', async () => {
  const chosen = async (...args: string[]) => {
    await using child = start(['--naive', ...args]);
    return await child.line(/^chosen: /);
  };
  expect(await chosen()).toBe('chosen: apple');
  expect(await chosen('--fruit', 'pear')).toBe('chosen: pear');
});

test('a choice that there is not is answered with the nearest one', async () => {
  await using child = start(['--fruit=paer']);
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.output()).toMatch(/^There is no fruit "paer". Did you mean pear\?\n.* --fruit +one of apple, pear$/s);
});
