/**
 * `pnpm chaos <pattern>`: kills at random moments while a pattern works through thousands of jobs, and then counts in the
 * database what was lost and what was done twice. It prints its seed, and is over in two minutes, whatever happens.
 */
import { existsSync } from 'node:fs';
import { parseArgs, styleText } from 'node:util';
import { root } from '@patterns/house/command';
import { ConfigError } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { type ChaosOptions, type ChaosResult, randomSeed } from '@patterns/kit/testing/chaos';
import { patternNamed, patterns } from './patterns.ts';
import { findServices } from './services.ts';

interface Chaos {
  run(options: ChaosOptions): Promise<ChaosResult>;
  /** Flags of its own, by name, with a line for --help. */
  flags?: Record<string, { type: 'string' | 'boolean'; about: string }>;
  /** Where thousands would be too much of one. */
  defaults?: { items: number };
}

/** What is not done by then is lost: a healthy run takes half of it. */
const DEADLINE_MS = 100_000;

const fileOf = (name: string) => `${root}packages/${name}/chaos.ts`;
const shaken = patterns.map(({ name }) => name).filter((name) => existsSync(fileOf(name)));
const DEFAULTS = { kills: 20, items: 10_000 };
const helpWith = (
  kills: number,
  items: number,
) => `usage: pnpm chaos <pattern> [--seed N] [--kills ${kills}] [--items ${items}]

  --seed    the moments and victims of an earlier run
  --kills   how many processes and connections are killed
  --items   how many jobs, webhooks or orders there are (--jobs is the same)`;
const HELP = helpWith(DEFAULTS.kills, DEFAULTS.items);

await main(async (stack, signal) => {
  signal.addEventListener('abort', () => {
    process.exitCode = 130;
  });
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined || name.startsWith('-')) return console.log(`${HELP}\n\npatterns: ${shaken.join(', ')}`);
  const pattern = patternNamed(name);
  if (!shaken.includes(name)) throw new ConfigError(`${name} has no chaos run: there is one of ${shaken.join(', ')}`);
  const chaos: Chaos = await import(fileOf(name));
  const options = readArguments(args, chaos);
  if (options === undefined) return console.log(helpOf(chaos));

  console.log(
    `${styleText('bold', name)}: ${options.kills} kills during ${options.items} items, --seed ${options.seed}\n`,
  );
  const env = await findServices(pattern, stack, signal);
  console.log();
  const startedAt = performance.now();
  const seconds = () => ((performance.now() - startedAt) / 1_000).toFixed(1);
  const say = (line: string) => console.log(`${seconds().padStart(7)} s   ${line}`);
  const { counted, wrong } = await chaos.run({ ...options, env, deadlineMs: DEADLINE_MS, say, signal });

  const width = Math.max(...Object.keys(counted).map((what) => what.length), 'seconds'.length);
  console.log();
  for (const [what, count] of Object.entries({ ...counted, seconds: seconds() })) {
    console.log(`  ${what.padEnd(width)}  ${count}`);
  }
  console.log();
  for (const line of wrong) console.log(`  ${styleText('red', '✗')} ${line}`);
  if (wrong.length > 0) {
    const { seed, kills, items, flags } = options;
    const again = Object.entries<string | number | boolean | undefined>({ seed, kills, items, ...flags }).map(
      ([flag, value]) => (value === true ? `--${flag}` : `--${flag} ${value}`),
    );
    console.log(`\n  the same moments once more: pnpm chaos ${name} ${again.join(' ')}`);
    process.exitCode = 1;
  } else {
    console.log(`  ${styleText('green', '✓')} nothing lost, nothing doubled`);
  }
});

function helpOf({ flags = {}, defaults }: Chaos): string {
  const own = Object.entries(flags).map(([flag, { about }]) => `  --${flag.padEnd(7)} ${about}`);
  return [helpWith(DEFAULTS.kills, defaults?.items ?? DEFAULTS.items), ...own].join('\n');
}

function readArguments(args: string[], { flags: own = {}, defaults }: Chaos) {
  const text = { type: 'string' } as const;
  try {
    const common = { seed: text, kills: text, items: text, jobs: text, help: { type: 'boolean', short: 'h' } } as const;
    const { values } = parseArgs({ args, options: { ...own, ...common } });
    const { seed, kills, items, jobs, help, ...others } = values;
    const flags: ChaosOptions['flags'] = others;
    if (help) return undefined;
    return {
      seed: integer('seed', seed, 2 ** 32 - 1) ?? randomSeed(),
      kills: integer('kills', kills, 1_000) ?? DEFAULTS.kills,
      items: integer('items', items ?? jobs, 1_000_000) ?? defaults?.items ?? DEFAULTS.items,
      flags,
    };
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}\n\n${HELP}`, { cause: error });
  }
}

function integer(flag: string, text: string | boolean | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(String(text)) && value <= max) return value;
  throw new Error(`--${flag} ${text}: expected an integer from 0 to ${max}`);
}
