/**
 * `pnpm check`: everything that must hold before a change is shared: types, lint and format, chapters in step with the code,
 * nothing left out, and then the tests, whose totals are the last line. It stops at the first that does not hold.
 */
import { styleText } from 'node:util';
import { root, startCommand } from '@patterns/house/command';
import { findGaps } from '@patterns/house/gaps';
import { main } from '@patterns/kit/main';

type Command = [program: string, ...args: string[]];

const start: Command = ['node', 'scripts/start.mjs'];
const checks: { what: string; check: Command | (() => string[]) }[] = [
  { what: 'types', check: ['tsc'] },
  { what: 'lint and format', check: ['biome', 'check', '--error-on-warnings'] },
  { what: 'lint with types', check: ['oxlint', '--type-aware'] },
  { what: 'chapters', check: [...start, 'docs-sync', '--check'] },
  { what: 'completeness', check: () => findGaps(root) },
  { what: 'tests', check: [...start, 'test'] },
];

await main(async (stack, signal) => {
  signal.addEventListener('abort', () => {
    process.exitCode = 130;
  });
  for (const { what, check } of checks) {
    console.log(styleText('bold', `check: ${what}`));
    const exitCode = typeof check === 'function' ? report(check()) : await run(check, stack);
    signal.throwIfAborted();
    if (exitCode === 0) continue;
    process.exitCode = exitCode;
    // The tests' own last line, the totals, stays the last.
    if (what !== 'tests') console.error(`check: ${what}: failed`);
    return;
  }
});

async function run([program, ...args]: Command, stack: AsyncDisposableStack): Promise<number> {
  return await stack.use(startCommand(program, args)).exitCode;
}

function report(gaps: string[]): number {
  for (const gap of gaps) console.error(gap);
  return gaps.length > 0 ? 1 : 0;
}
