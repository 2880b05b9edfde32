/**
 * Runs a demo: first the naive half, which falls to the pattern's fault, then the sound half, which does not; then the
 * table and the claims. The exit code says whether every claim held.
 */
import { parseArgs } from 'node:util';
import { ConfigError } from './env.ts';
import { main } from './main.ts';
import { nearest } from './nearest.ts';
import { Story } from './story.ts';

/** What a demo lets its reader choose by a flag: `{ broker: ['redis', 'postgres'] }`. The first one is the default. */
export type Choices = Readonly<Record<string, readonly string[]>>;

export interface Demo {
  readonly choices?: Choices;
  /** The first one is shown on the left. */
  readonly actors: readonly [string, ...string[]];
  readonly naive: Half;
  readonly sound: Half;
}

export interface Half {
  /** What this half is about to show, in a line. */
  readonly about: string;
  readonly run: (stage: Stage) => Promise<void>;
}

export interface Stage {
  readonly story: Story;
  /** Aborts on ^C. */
  readonly signal: AbortSignal;
  /** What was chosen, of each of the demo's choices. */
  readonly chosen: Readonly<Record<string, string>>;
  /** Keeps a server, proxy or connection until the half is over, and releases it then, the last one first. */
  readonly use: <T extends AsyncDisposable>(resource: T) => T;
  /** Keeps what both halves share until the demo is over. */
  readonly keep: <T extends AsyncDisposable>(resource: T) => T;
}

/** The flags of every demo. */
export const DEMO_FLAGS = {
  naive: { type: 'boolean' },
  sound: { type: 'boolean' },
  keep: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const flagsHelp = (choices: Choices = {}): string =>
  [
    '',
    '  --naive   only the half that fails',
    '  --sound   only the half that does not',
    '  --keep    leave the servers up at the end; a changed file of the pattern starts the demo again',
    ...Object.entries(choices).map(([name, values]) => `  --${name.padEnd(7)} one of ${values.join(', ')}`),
  ].join('\n');

/** The entry point of a `demo.ts`: reads the flags, tells the story, sets the exit code. */
export async function runDemo(demo: Demo): Promise<void> {
  await main(async (stack, signal) => {
    signal.addEventListener('abort', () => {
      process.exitCode = 130;
    });
    const { flags, chosen } = readDemoFlags(demo.choices);
    if (flags.help) return console.log(`usage: node demo.ts [--naive | --sound] [--keep]\n${flagsHelp(demo.choices)}`);
    const story = new Story(demo.actors);
    const kept = stack.use(new AsyncDisposableStack()); // before the halves, so released after them
    const keep: Stage['keep'] = (resource) => kept.use(resource);
    const halves = (['naive', 'sound'] as const).filter((half) => flags[half] || (!flags.naive && !flags.sound));
    for (const half of halves) {
      const resources = stack.use(new AsyncDisposableStack());
      story.part(half, demo[half].about);
      const use: Stage['use'] = (resource) => resources.use(resource);
      await demo[half].run({ story, signal, chosen, use, keep });
      if (half === halves.at(-1)) {
        if (!story.close()) process.exitCode = 1;
        if (flags.keep) await stayUp(signal);
      }
      await resources.disposeAsync();
    }
    await kept.disposeAsync();
  });
}

/**
 * Reads the flags of a demo that offers `choices`.
 * @throws {ConfigError} when there is no such flag or value, with the nearest one that there is.
 */
export function readDemoFlags(choices: Choices = {}, args: string[] = process.argv.slice(2)) {
  try {
    const { values } = parseArgs({ args, options: { ...DEMO_FLAGS, ...asOptions(choices) } });
    const chosen = Object.entries(choices).map(([name, known]) => {
      const value = (values as Record<string, string | undefined>)[name] ?? known[0]!;
      if (known.includes(value)) return [name, value];
      const meant = nearest(value, known);
      throw new TypeError(
        `There is no ${name} "${value}". ${meant ? `Did you mean ${meant}?` : `There are: ${known.join(', ')}.`}`,
      );
    });
    const flags = values as Partial<Record<keyof typeof DEMO_FLAGS, boolean>>;
    return { flags, chosen: Object.fromEntries(chosen) as Record<string, string> };
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}\n${flagsHelp(choices)}`, { cause: error });
  }
}

/** The choices as options of `parseArgs`. */
export function asOptions(choices: Choices) {
  return Object.fromEntries(Object.keys(choices).map((name) => [name, { type: 'string' } as const]));
}

async function stayUp(signal: AbortSignal): Promise<void> {
  console.log('The servers stay up, and a changed file starts the demo again. ^C ends.\n');
  // An open channel to the parent keeps nothing alive: this timer does, until the signal.
  const forever = setInterval(() => {}, 2 ** 30);
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  clearInterval(forever);
}
