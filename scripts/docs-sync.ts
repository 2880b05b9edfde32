/**
 * `pnpm docs:sync`: copies code, transcripts and measurements into the chapters, between the marks they have for them
 * (packages/house/chapter.ts). With --check it writes nothing, and fails when a chapter has drifted from the code.
 */
import { existsSync } from 'node:fs';
import { glob, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { renderResults } from '@patterns/bench/render';
import { fillChapter } from '@patterns/house/chapter';
import { root } from '@patterns/house/command';
import { chapterFiller, TO_SYNC } from '@patterns/house/fill';
import { ConfigError } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { startProcess } from '@patterns/kit/testing/processes';
import { patternNamed, patterns } from './patterns.ts';

const HELP = `usage: pnpm docs:sync [pattern...] [--all] [--check]

  --all     run every demo again, even if its code is as it was when its transcript was taken
  --check   write nothing; exit code 1 if anything has drifted`;

await main(async (_stack, signal) => {
  signal.addEventListener('abort', () => {
    process.exitCode = 130;
  });
  const { names, all, check, help } = readArguments();
  if (help) return console.log(HELP);
  const chapters = await Array.fromAsync(glob('packages/*/README.md', { cwd: root }));
  const wanted = chapters.sort().filter((file) => names.length === 0 || names.includes(packageOf(file)));
  for (const file of wanted) await sync(file, { all, check, signal });
});

type SyncOptions = { all: boolean; check: boolean; signal: AbortSignal };

async function sync(file: string, { all, check, signal }: SyncOptions): Promise<void> {
  const name = packageOf(file);
  const fill = chapterFiller({
    folder: `${root}packages/${name}`,
    ...(!check && { runDemo: () => runDemo(name, signal), all }),
    renderBench: () => renderBench(name),
  });
  const before = await readFile(root + file, 'utf8');
  const { markdown, drifted, problems } = await fillChapter(before, fill);
  signal.throwIfAborted();
  const report = (line: number, message: string) => {
    console.error(`${file}:${line}: ${message}`);
    process.exitCode = 1;
  };
  for (const { line, message } of problems) report(line, message);
  if (check) {
    for (const { line, kind, argument } of drifted)
      report(line, `${[kind, argument].join(' ').trim()} has drifted: ${TO_SYNC}`);
  } else if (markdown !== before) {
    await writeFile(root + file, markdown);
    console.log(`${file}: ${drifted.map(({ kind, line }) => `${kind} in line ${line}`).join(', ') || 'spacing'}`);
  }
}

/** What `pnpm dev:<name>` prints, without colours and without this machine's paths. */
async function runDemo(name: string, signal: AbortSignal): Promise<string> {
  if (!patterns.some((pattern) => pattern.name === name)) throw new Error(`${name} has no demo: it is no pattern`);
  console.log(`running the demo of ${name}`);
  await using demo = startProcess(new URL('start.mjs', import.meta.url), {
    args: ['dev', name],
    env: { NO_COLOR: '1', FORCE_COLOR: undefined },
    signal,
  });
  const { code } = await demo.exited;
  if (code !== 0) throw new Error(`its demo failed:\n${demo.output()}`);
  return demo.lines.items
    .map((line) => line.replaceAll(`file://${root}`, '').replaceAll(root, '').trimEnd())
    .join('\n')
    .trim();
}

async function renderBench(name: string): Promise<string | undefined> {
  const results = `${root}packages/bench/results/${name}.json`;
  if (!existsSync(results)) return undefined;
  return renderResults(JSON.parse(await readFile(results, 'utf8')));
}

function packageOf(readme: string): string {
  return basename(dirname(readme));
}

function readArguments() {
  try {
    const flag = { type: 'boolean', default: false } as const;
    const { values, positionals } = parseArgs({
      options: { all: flag, check: flag, help: { ...flag, short: 'h' } },
      allowPositionals: true,
    });
    return { names: positionals.map((name) => patternNamed(name).name), ...values };
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}\n\n${HELP}`, { cause: error });
  }
}
