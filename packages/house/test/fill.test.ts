/** What goes into a chapter, from the files of a folder made for the test. */
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fillChapter } from '../chapter.ts';
import { chapterFiller, type FillOptions } from '../fill.ts';

async function patternFolder(files: Record<string, string>) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'house-'));
  const write = (name: string, text: string) => writeFile(join(folder.path, name), text);
  for (const [name, text] of Object.entries(files)) await write(name, text);
  return {
    write,
    sync: (markdown: string, options: Partial<FillOptions> = {}) =>
      fillChapter(markdown, chapterFiller({ folder: folder.path, renderBench: async () => undefined, ...options })),
    [Symbol.asyncDispose]: () => folder.remove(),
  };
}

const block = (kind: string, argument = '') => `<!-- ${kind}${argument} -->\n<!-- /${kind} -->`;

test('a region is fenced in the language of its file', async () => {
  await using folder = await patternFolder({
    'server.ts': '// #region start\nstart();\n// #endregion\n',
    'page.html': '<!-- #region list -->\n<ul>\n<!-- #endregion -->\n',
  });
  const { markdown } = await folder.sync(`${block('code', ': server.ts#start')}\n${block('code', ': page.html#list')}`);
  expect(markdown).toContain('\n```ts\nstart();\n```\n');
  expect(markdown).toContain('\n```html\n<ul>\n```\n');
});

test('a region that holds a fence itself gets a longer one', async () => {
  await using folder = await patternFolder({ 'a.ts': '// #region a\nconst fence = "```";\n// #endregion\n' });
  const { markdown } = await folder.sync(block('code', ': a.ts#a'));
  expect(markdown).toContain('````ts\nconst fence = "```";\n````');
});

test.each([
  ['a file that is not there', ': sever.ts#a', 'there is no file sever.ts in this package'],
  ['a region that is not there', ': a.ts#b', 'a.ts: there is no region "b": there are a'],
  ['a whole file', ': a.ts', '"a.ts" is not a region: write <!-- code: file.ts#region -->'],
])('%s is a problem, and never the whole file', async (_what, argument, message) => {
  await using folder = await patternFolder({ 'a.ts': '// #region a\na();\n// #endregion\n' });
  const { problems, markdown } = await folder.sync(block('code', argument));
  expect(problems).toEqual([{ line: 1, message }]);
  expect(markdown).toBe(block('code', argument));
});

test('the demo runs for an empty transcript, and not again while nothing has changed', async () => {
  await using folder = await patternFolder({ 'demo.ts': 'tell();\n' });
  let runs = 0;
  const runDemo = async () => `run ${++runs}`;
  const { markdown } = await folder.sync(block('transcript'), { runDemo });
  expect(markdown).toMatch(/^<!-- transcript sha256:[0-9a-f]{16} -->\n\n```text\nrun 1\n```\n\n<!-- \/transcript -->$/);
  expect(await folder.sync(markdown, { runDemo })).toEqual({ markdown, drifted: [], problems: [] });
  expect((await folder.sync(markdown, { runDemo, all: true })).markdown).toContain('run 2');
});

test('a changed source, a new one and an edited transcript are drift; a changed test is none', async () => {
  await using folder = await patternFolder({ 'demo.ts': 'tell();\n' });
  const { markdown } = await folder.sync(block('transcript'), { runDemo: async () => 'it ran' });
  const drift = async (text = markdown) => (await folder.sync(text)).problems.map(({ message }) => message);
  expect(await drift()).toEqual([]);
  expect(await drift(markdown.replace('it ran', 'it flew'))).toEqual([expect.stringContaining('was edited')]);
  await folder.write('README.md', 'other');
  expect(await drift()).toEqual([]);
  await folder.write('page.html', '<p>');
  expect(await drift()).toEqual([expect.stringContaining('older than the code')]);
});

test('a demo that fails is a problem, and the transcript stays', async () => {
  await using folder = await patternFolder({ 'demo.ts': 'tell();\n' });
  const failing = async () => {
    throw new Error('its demo failed');
  };
  const { markdown, problems } = await folder.sync(block('transcript'), { runDemo: failing });
  expect({ markdown, problems }).toEqual({
    markdown: block('transcript'),
    problems: [{ line: 1, message: 'its demo failed' }],
  });
});

test('the tables of the last benchmark, or that there was none', async () => {
  await using folder = await patternFolder({});
  const { markdown } = await folder.sync(block('bench'), { renderBench: async () => '| a |\n' });
  expect(markdown).toBe('<!-- bench -->\n\n| a |\n\n<!-- /bench -->');
  expect((await folder.sync(block('bench'))).markdown).toContain('Not measured yet.');
});
