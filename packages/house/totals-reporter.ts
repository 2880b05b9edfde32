/**
 * Vitest reporter: names each test that was skipped, with its reason, and shows the tables of clauses, and ends
 * the run's output with `N passed, N failed`.
 *
 * What fails outside of a test (a file that does not load, a hook, an error that nobody caught) counts as failed as well:
 * a run that fails never says "0 failed". With REQUIRE_EXTRAS=1 a skipped test makes the run fail.
 */
import { clauseTables, type ProvenClause } from '@patterns/kit/testing/clause-table';
import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from 'vitest/node';

export default class TotalsReporter implements Reporter {
  #lastLines = '';
  #isFiltered = false;

  onInit(vitest: Vitest): void {
    // With -t, every test that was not asked for is "skipped".
    this.#isFiltered = vitest.config.testNamePattern !== undefined;
    // At the very end, after the other reporters and the teardown have had their say.
    process.once('exit', () => process.stdout.write(this.#lastLines));
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const tests = modules.flatMap(({ children }) => [...children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    // "pending": its process ended before it did.
    const failed = count('failed') + count('pending') + errorsOutsideTests(modules) + unhandled.length;
    const skipped = this.#isFiltered ? [] : tests.filter((test) => test.result().state === 'skipped');
    const lines = clauseTables(this.#isFiltered ? [] : tests.flatMap(provenClause));
    if (lines.length > 0) lines.push('');
    lines.push(...skipped.map((test) => `skipped: ${describeSkipped(test)}`));
    if (skipped.length > 0 && process.env.REQUIRE_EXTRAS === '1') {
      process.exitCode = 1;
      lines.push('REQUIRE_EXTRAS=1: a skipped test is a failure');
    }
    const totals = [`${count('passed')} passed`, `${failed} failed`];
    if (skipped.length > 0) totals.push(`${skipped.length} skipped`);
    this.#lastLines = `${[...lines, totals.join(', ')].join('\n')}\n`;
  }
}

function errorsOutsideTests(modules: readonly TestModule[]): number {
  const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
  return suites.reduce((sum, suite) => sum + suite.errors().length, 0);
}

function provenClause(test: TestCase): ProvenClause[] {
  const { clause } = test.meta();
  // kit tests the contract itself, over servers that are made to break it.
  if (!clause || test.project.name === 'kit') return [];
  return [{ ...clause, of: clause.of ?? test.project.name, state: test.result().state }];
}

/** The suites that miss something say what in their title (packages/services/testing.ts); `skip('reason')` has a note. */
function describeSkipped(test: TestCase): string {
  const result = test.result();
  const note = result.state === 'skipped' && result.note ? ` (${result.note})` : '';
  return [test.project.name, `${test.fullName}${note}`].filter(Boolean).join(' > ');
}
