/** The marked blocks of a chapter are filled, and nothing else of it is touched. */
import { expect, test } from 'vitest';
import { type Block, fillChapter } from '../chapter.ts';

const upper = async ({ argument }: Block) => ({ argument, body: argument.toUpperCase() });

const chapter = `# A chapter

<!-- code: a.ts#b -->
old
<!-- /code -->

Text   that stays as it is.
`;

test('what stands between the marks is replaced, what stands outside is not', async () => {
  const { markdown, problems } = await fillChapter(chapter, upper);
  expect(markdown).toBe(`# A chapter

<!-- code: a.ts#b -->

A.TS#B

<!-- /code -->

Text   that stays as it is.
`);
  expect(problems).toEqual([]);
});

test('a block that differs has drifted; filled, it has not', async () => {
  const first = await fillChapter(chapter, upper);
  expect(first.drifted).toEqual([{ kind: 'code', argument: 'a.ts#b', line: 3, body: 'old' }]);
  const second = await fillChapter(first.markdown, upper);
  expect(second).toEqual({ markdown: first.markdown, drifted: [], problems: [] });
});

test('an argument is written into the mark, and its change alone is drift', async () => {
  const fill = async ({ body }: Block) => ({ argument: 'sha256:2', body });
  const { markdown, drifted } = await fillChapter('<!-- transcript sha256:1 -->\nx\n<!-- /transcript -->', fill);
  expect(markdown).toBe('<!-- transcript sha256:2 -->\n\nx\n\n<!-- /transcript -->');
  expect(drifted).toHaveLength(1);
});

test('a block that cannot be filled stays, with a problem at its line; the others are filled', async () => {
  const { markdown, problems } = await fillChapter(
    `<!-- bench -->\nkept\n<!-- /bench -->\n${chapter}`,
    async (block) => {
      if (block.kind === 'bench') throw new Error('no figures');
      return upper(block);
    },
  );
  expect(problems).toEqual([{ line: 1, message: 'no figures' }]);
  expect(markdown).toMatch(/^<!-- bench -->\nkept\n<!-- \/bench -->\n/);
  expect(markdown).toContain('A.TS#B');
});

test.each([
  ['an opening mark that is never closed', '\n<!-- bench -->\ntext\n', '<!-- /bench --> is missing'],
  ['one that is closed only after the next', '\n<!-- bench -->\n<!-- transcript -->\n<!-- /bench -->', 'never closed'],
  ['one that another kind closes', '\n<!-- bench -->\n<!-- /code -->', '<!-- /bench --> is missing'],
  ['a closing mark alone', '\n<!-- /code -->\n', '<!-- /code --> closes nothing'],
  ['a mark with an error in it', '\n<!-- code server.ts stream -->\n', 'cannot be read'],
  ['a mark that is indented', '\n  <!-- bench -->\n', 'cannot be read'],
])('%s is a problem of its line', async (_what, markdown, message) => {
  const { problems } = await fillChapter(markdown, upper);
  expect(problems[0]).toEqual({ line: 2, message: expect.stringContaining(message) });
});

test('a mark that is shown in a code block is no mark', async () => {
  const text = '```md\n<!-- bench -->\n```\n';
  expect(await fillChapter(text, upper)).toEqual({ markdown: text, drifted: [], problems: [] });
});
