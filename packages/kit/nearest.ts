/** Finds what somebody meant who mistyped a name. */

/** The known name with the fewest typing errors [Levenshtein], unless none is near: at most a third of it may differ. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known.map((candidate) => ({ candidate, errors: typingErrors(name, candidate) }));
  const [best] = ranked.sort((a, b) => a.errors - b.errors);
  return best && best.errors <= Math.ceil(best.candidate.length / 3) ? best.candidate : undefined;
}

/** How many letters must be added, dropped or changed to make one text of the other. */
function typingErrors(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[to.length]!;
}
