/**
 * Finds what has been left out or does not fit: a pattern without one of its rooms, a name that is not the same everywhere,
 * an import against the grain, a test that never runs. Each gap is a line that names the file and what is wrong with it.
 */

import { linkGaps } from './links.ts';
import { readRepository } from './repository.ts';
import { patternGaps } from './rooms.ts';
import { importGaps, lockfileGaps, serviceGaps, sizeGaps, testGaps } from './rules.ts';

/** Looks through the repository at `root`. An empty list: nothing is left out. */
export function findGaps(root: string): string[] {
  const repository = readRepository(root);
  return [patternGaps, importGaps, serviceGaps, sizeGaps, testGaps, lockfileGaps, linkGaps].flatMap((rule) =>
    rule(repository),
  );
}
