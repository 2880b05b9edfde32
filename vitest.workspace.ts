import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// As scripts/start.mjs does it: tests start hundreds of processes, and these load the same files.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

/** One project per package that has tests; `pnpm test sse` runs the project `sse`. */
const projects = readdirSync(new URL('packages', import.meta.url), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => ({
    extends: true as const,
    // As Node itself resolves. Vite adds `development`: a package that has it (graphql) would be loaded twice, once by us and once
    // by the packages that Node loads, and an object of the one would not be an `instanceof` the other.
    ssr: { resolve: { conditions: ['node', 'module-sync'] } },
    test: { name, root: `packages/${name}`, include: ['test/**/*.test.ts'] },
  }));

/**
 * What takes long begins first: at the end of the run no worker is left alone with it. And what starts a town of ten processes is kept
 * apart from the others that do: two at once would take turns on the processor until something takes too long.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isTown = ({ moduleId }: TestSpecification) =>
      /microservices\/test\/(?:chaos|demo|page|town)|bench\/test\/microservices/.test(moduleId);
    const isLong = ({ moduleId }: TestSpecification) =>
      /\b(?:delivery|demo|kafka|rabbitmq|chaos|bench)\b/.test(moduleId);
    const sorted = files.filter((file) => !isTown(file)).sort((a, b) => Number(isLong(b)) - Number(isLong(a)));
    for (const [n, town] of files.filter(isTown).entries()) sorted.splice(n * BETWEEN_TOWNS, 0, town);
    return sorted;
  }
}

/** Files: three workers take longer for these than one for a town. */
const BETWEEN_TOWNS = 8;

export default defineConfig({
  test: {
    projects,
    // Redis and PostgreSQL, found or started once for the whole run.
    globalSetup: 'packages/services/vitest-setup.ts',
    // The last one ends the output with "N passed, N failed".
    reporters: [
      'default',
      ...(process.env.GITHUB_ACTIONS ? ['github-actions'] : []),
      './packages/house/totals-reporter.ts',
    ],
    // Tests wait for sockets and processes, not for the processor: more workers than the two cores pay.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
