/**
 * Links between the pages of the repository: each leads somewhere. A link to a test or a table says by its title what is to be
 * found there, `[High](packages/polling/README.md#limits "every 500 ms")`, and that text must stand in the file: who renames
 * a test is told where it is spoken of.
 */
import type { Repository } from './repository.ts';

/** Every page that a reader comes to. */
export function linkGaps({ packages, text }: Repository): string[] {
  const chapters = packages
    .filter(({ files }) => files.includes('README.md'))
    .map(({ name }) => `packages/${name}/README.md`);
  return ['README.md', 'CONTRIBUTING.md', ...chapters].flatMap((page) =>
    linksOf(text(page) ?? '').flatMap((link) => {
      const wrong = whatIsWrong(link, page, { packages, text });
      return wrong ? [`${page}:${link.line}: ${link.target} ${wrong}`] : [];
    }),
  );
}

interface Link {
  readonly line: number;
  readonly target: string;
  readonly title: string | undefined;
}

const LINK = /\]\(([^()\s]+)(?: "([^"]*)")?\)/g;

/** Those that stay in the repository. What stands in a fenced block is an example. */
function linksOf(markdown: string): Link[] {
  let inFence = false;
  return markdown.split('\n').flatMap((line, index) => {
    if (/^\s*(?:```|~~~)/.test(line)) inFence = !inFence;
    if (inFence) return [];
    return [...line.replaceAll(/`[^`]*`/g, '').matchAll(LINK)]
      .map(([, target = '', title]) => ({ line: index + 1, target, title }))
      .filter(({ target }) => !/^[a-z]+:/i.test(target));
  });
}

function whatIsWrong({ target, title }: Link, page: string, { packages, text }: Repository): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : new URL(path, `file:///${page}`).pathname.slice(1);
  const folder = /^packages\/([\w-]+)\/?$/.exec(file)?.[1];
  if (folder !== undefined) return packages.some(({ name }) => name === folder) ? undefined : 'is not there';
  const content = text(file);
  if (content === undefined) return 'is not there';
  if (anchor && !headingsOf(content).includes(anchor)) return 'has no such heading';
  if (title && !content.includes(title)) return `has nothing about "${title}"`;
  return undefined;
}

/** As GitHub makes them: lower case, without punctuation, a dash for each space. */
function headingsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
