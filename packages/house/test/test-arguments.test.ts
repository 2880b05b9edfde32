/** `pnpm test`'s words are names of packages, or paths; the flags are Vitest's. */
import { expect, test } from 'vitest';
import { vitestArguments } from '../test-arguments.ts';

const packages = ['feed', 'kit', 'request-response', 'sse'];

test.each([
  ['nothing: every package', '', ''],
  ['names', 'sse kit', '--project sse --project kit'],
  ['a name and flags of Vitest, with their values', 'sse -t resume --bail 1', '--project sse -t resume --bail 1'],
  ['a part of a path', 'sse test/demo', '--project sse test/demo'],
  ['the dashes that npm wants', '-- sse', '--project sse'],
])('%s', (_what, given, wanted) => {
  const words = (text: string) => text.split(' ').filter(Boolean);
  expect(vitestArguments(words(given), packages)).toEqual(words(wanted));
});

test('a name that no package has is an error, with the nearest, or with all', () => {
  expect(() => vitestArguments(['request-respons'], packages)).toThrow('Did you mean request-response?');
  expect(() => vitestArguments(['kit', 'carrots'], packages)).toThrow(
    'There is no package "carrots" to test. There are: feed, kit, request-response, sse.',
  );
});
