/** Links that lead nowhere, and links whose title names what is not there. */
import { expect, test } from 'vitest';
import { linkGaps } from '../links.ts';
import type { Package } from '../repository.ts';

const CHAPTER = '# Polling\n\n## When to use it, and when not\n\n[a test](test/server.test.ts "with a cursor")\n';
const SERVER_TEST = "test('with a cursor: what came after it', async () => {});\n";

function gapsOf(readme: string, chapter = CHAPTER): string[] {
  const texts: Record<string, string> = {
    'README.md': readme,
    'packages/polling/README.md': chapter,
    'packages/polling/test/server.test.ts': SERVER_TEST,
  };
  const polling: Package = {
    name: 'polling',
    manifest: {},
    isPattern: true,
    files: ['README.md', 'test/server.test.ts'],
    read: (file) => texts[`packages/polling/${file}`]!,
  };
  return linkGaps({ packages: [polling], text: (path) => texts[path] });
}

test.each([
  '[chapter](packages/polling/README.md)',
  '[section](packages/polling/README.md#when-to-use-it-and-when-not)',
  '[folder](packages/polling)',
  '[test](packages/polling/test/server.test.ts "with a cursor: what came after it")',
  '[elsewhere](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)',
  '`[an example](nowhere.md)`',
  '```\n[an example](nowhere.md)\n```',
])('leads somewhere: %s', (readme) => {
  expect(gapsOf(readme)).toEqual([]);
});

test.each([
  ['[gone](packages/polling/gone.ts)', 'packages/polling/gone.ts is not there'],
  ['[gone](packages/gone)', 'packages/gone is not there'],
  ['[section](packages/polling/README.md#limits)', 'packages/polling/README.md#limits has no such heading'],
  [
    '| [cell](packages/polling/test/server.test.ts "without one") |',
    'packages/polling/test/server.test.ts has nothing about "without one"',
  ],
])('leads nowhere: %s', (readme, gap) => {
  expect(gapsOf(`\n${readme}`)).toEqual([`README.md:2: ${gap}`]);
});

test('a chapter is read as well, and its links begin at its folder', () => {
  expect(gapsOf('', '[a test](test/gone.test.ts)')).toEqual([
    'packages/polling/README.md:1: test/gone.test.ts is not there',
  ]);
});
