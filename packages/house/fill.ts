/**
 * What goes into the marked blocks of a chapter: regions of the pattern's own files, what its demo printed, and the tables of
 * its last benchmark.
 *
 * A demo prints other times and ports in each run, so a transcript is not compared: its mark carries a digest of the sources
 * and of the transcript itself, and the demo runs again only when that has changed.
 */
import { createHash } from 'node:crypto';
import { glob, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Block, Filling } from './chapter.ts';
import { cutRegion } from './regions.ts';

export interface FillOptions {
  /** The pattern's folder. */
  readonly folder: string;
  /** What the demo prints now; rejects when it fails. Without it, a transcript that is out of date is an error. */
  readonly runDemo?: () => Promise<string>;
  /** The tables of the last benchmark as Markdown; undefined when there was none yet. */
  readonly renderBench: () => Promise<string | undefined>;
  /** Runs the demo even when nothing has changed. */
  readonly all?: boolean;
}

/** Makes the `fill` of `fillChapter`. */
export function chapterFiller({ folder, runDemo, renderBench, all }: FillOptions) {
  const fillings = {
    async code({ argument }: Block): Promise<Filling> {
      const [file = '', region = ''] = argument.split('#');
      if (!file || !region) throw new Error(`"${argument}" is not a region: write <!-- code: file.ts#region -->`);
      const source = await readFile(join(folder, file), 'utf8').catch(() => {
        throw new Error(`there is no file ${file} in this package`);
      });
      try {
        return { argument, body: fenced(languages[extname(file)] ?? '', cutRegion(source, region)) };
      } catch (error) {
        throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
      }
    },

    async transcript({ argument, body }: Block): Promise<Filling> {
      const sources = await readSources(folder);
      if (!all && argument === digest(sources, body)) return { argument, body };
      if (!runDemo) throw new Error(`the transcript is older than the code, or was edited: ${TO_SYNC}`);
      const fresh = fenced('text', await runDemo());
      return { argument: digest(sources, fresh), body: fresh };
    },

    async bench({ argument }: Block): Promise<Filling> {
      return { argument, body: (await renderBench())?.trim() ?? 'Not measured yet.' };
    },
  };
  return (block: Block): Promise<Filling> => fillings[block.kind](block);
}

/** What to do about drift. */
export const TO_SYNC = 'run `pnpm docs:sync`';

const languages: Record<string, string> = {
  '.ts': 'ts',
  '.html': 'html',
  '.yml': 'yaml',
  '.yaml': 'yaml',
  '.sql': 'sql',
  '.conf': 'nginx',
};

function fenced(language: string, text: string): string {
  const fence = text.includes('```') ? '````' : '```';
  return `${fence}${language}\n${text}\n${fence}`;
}

/** Every file of the pattern that has a say in what its demo prints. */
async function readSources(folder: string): Promise<string> {
  const names = await Array.fromAsync(
    glob('**/*.{ts,html}', { cwd: folder, exclude: (name) => name === 'node_modules' || name === 'test' }),
  );
  const texts = names.sort().map(async (name) => `${name}\n${await readFile(join(folder, name), 'utf8')}`);
  return (await Promise.all(texts)).join('\n');
}

function digest(sources: string, transcript: string): string {
  const hash = createHash('sha256').update(sources).update('\0').update(transcript);
  return `sha256:${hash.digest('hex').slice(0, 16)}`;
}
