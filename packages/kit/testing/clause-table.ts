/**
 * A contract is a suite of clauses that several subjects keep, or declare not to keep. Each of its tests says in its `meta` which
 * clause of which subject it proves, and the run ends with a table of clause by subject, as the tests found it.
 */

/** What one test proves. As an option of the test: `test(title, { meta: { clause } }, body)`. */
export interface ClauseOfTest {
  /** The title of the table: 'delivery contract'. */
  contract: string;
  /** Who keeps the clause or not; default: the test's project. */
  of?: string | undefined;
  clause: string;
  /** False: the test proves that it is not kept, as its subject declares. */
  kept: boolean;
}

declare module 'vitest' {
  interface TaskMeta {
    clause?: ClauseOfTest;
  }
}

export interface ProvenClause extends ClauseOfTest {
  of: string;
  /** The state of the test: 'passed', 'failed', 'skipped', 'pending'. */
  state: string;
}

/** One table a contract: a line a clause, a column a subject, in the order in which they came. No clauses, no tables. */
export function clauseTables(proven: readonly ProvenClause[]): string[] {
  const contracts = Map.groupBy(proven, ({ contract }) => contract);
  return [...contracts].flatMap(([contract, clauses]) => {
    const subjects = [...new Set(clauses.map(({ of }) => of))];
    const rows = [...Map.groupBy(clauses, ({ clause }) => clause)].map(([clause, tests]) => [
      clause,
      ...subjects.map((subject) => verdict(tests.filter(({ of }) => of === subject))),
    ]);
    return ['', ...alignColumns([[contract, ...subjects], ...rows])];
  });
}

function verdict(tests: readonly ProvenClause[]): string {
  const odd = tests.find(({ state }) => state !== 'passed');
  if (odd) return odd.state;
  if (tests.length === 0) return '-';
  return tests.every(({ kept }) => kept) ? 'kept' : 'not kept';
}

function alignColumns(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
