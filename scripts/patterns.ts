/** The patterns of the house, read from their folders: a new one needs no entry anywhere. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Choices } from '@patterns/kit/demo';
import { nearest } from '@patterns/kit/nearest';

export interface Pattern {
  readonly name: string;
  /** The pattern in one sentence: the package's description. */
  readonly question: string;
  readonly needs: readonly ('redis' | 'postgres')[];
  /** What its demo lets one choose. */
  readonly choices: Choices;
  /** Its folder, with a trailing slash. */
  readonly folder: string;
}

const packages = fileURLToPath(new URL('../packages/', import.meta.url));

/** Every package that calls itself a pattern, by the field `pattern` of its package.json. */
export const patterns: readonly Pattern[] = readdirSync(packages).flatMap((name) => {
  const { description, pattern } = JSON.parse(readFileSync(`${packages}${name}/package.json`, 'utf8'));
  if (!pattern) return [];
  const { needs, choices = {} } = pattern;
  return [{ name, question: description, needs, choices, folder: `${packages}${name}/` }];
});

/** The pattern of that name. Ends the process with a suggestion when there is none. */
export function patternNamed(name: string): Pattern {
  const found = patterns.find((pattern) => pattern.name === name);
  if (found) return found;
  const names = patterns.map((pattern) => pattern.name);
  const suggestion = nearest(name, names);
  console.error(
    `There is no pattern "${name}". ${suggestion ? `Did you mean ${suggestion}?` : `There are: ${names.join(', ')}.`}`,
  );
  process.exit(1);
}
