/**
 * Reads the arguments of `pnpm test`: first the packages, then whatever Vitest is to be told.
 */
import { nearest } from '@patterns/kit/nearest';

/**
 * The arguments for `vitest run`. A leading word is the name of a package, or, with a slash or a dot in it, a part of a test
 * file's path; from the first flag on, everything is Vitest's.
 *
 * @throws {Error} for a name that no package has; its message suggests the nearest.
 */
export function vitestArguments(args: readonly string[], packages: readonly string[]): string[] {
  const given = args[0] === '--' ? args.slice(1) : args;
  const firstFlag = given.findIndex((arg) => arg.startsWith('-'));
  const words = firstFlag < 0 ? given : given.slice(0, firstFlag);
  const selected = words.flatMap((word) => {
    if (/[/.]/.test(word)) return [word];
    if (packages.includes(word)) return ['--project', word];
    const suggestion = nearest(word, packages);
    const hint = suggestion ? `Did you mean ${suggestion}?` : `There are: ${packages.join(', ')}.`;
    throw new Error(`There is no package "${word}" to test. ${hint}`);
  });
  return [...selected, ...given.slice(words.length)];
}
