/**
 * `pnpm bench <pattern>`: measures a pattern beside its peers, prints the tables, and keeps the results, which
 * `pnpm docs:sync` puts into the chapter. With --quick it only shows: a short run is not for quoting.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { renderResults } from '@patterns/bench/render';
import type { Results } from '@patterns/bench/results';
import type { BenchOptions } from '@patterns/bench/rounds';
import { root } from '@patterns/house/command';
import { ConfigError } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { patternNamed, patterns } from './patterns.ts';

type Bench = { run: (options: BenchOptions) => Promise<Results> };

const fileOf = (name: string) => `${root}packages/bench/${name}.ts`;
const measured = patterns.map(({ name }) => name).filter((name) => existsSync(fileOf(name)));
const HELP = `usage: pnpm bench <pattern> [--quick]

  --quick   less than a minute, and nothing is kept

patterns: ${measured.join(', ')}`;

await main(async (_stack, signal) => {
  signal.addEventListener('abort', () => {
    process.exitCode = 130;
  });
  const { name, quick } = readArguments();
  if (name === undefined) return console.log(HELP);
  const bench: Bench = await import(fileOf(name));
  const say = (line: string) => console.log(`  ${line}`);
  const results = await bench.run({ size: quick ? 'quick' : 'full', say, signal });
  console.log(`\n${renderResults(results)}`);
  if (quick) return;
  const file = `packages/bench/results/${name}.json`;
  await writeFile(root + file, `${JSON.stringify(results, undefined, 2)}\n`);
  console.log(`kept in ${file}; pnpm docs:sync puts it into the chapter`);
});

function readArguments(): { name: string | undefined; quick: boolean } {
  try {
    const flag = { type: 'boolean', default: false } as const;
    const options = { quick: flag, help: { ...flag, short: 'h' } };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const [name] = positionals;
    if (values.help || name === undefined) return { name: undefined, quick: false };
    if (!measured.includes(patternNamed(name).name)) throw new Error(`${name} has no benchmark yet.`);
    return { name, quick: values.quick };
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}\n\n${HELP}`, { cause: error });
  }
}
