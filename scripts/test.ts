/**
 * `pnpm test [package...] [vitest arguments]`: the integration tests, of every package or of those named, against a real
 * Redis and PostgreSQL (packages/services/vitest-setup.ts). The last line is the totals; the exit code is Vitest's.
 */
import { existsSync, readdirSync } from 'node:fs';
import { root, startCommand } from '@patterns/house/command';
import { vitestArguments } from '@patterns/house/test-arguments';
import { ConfigError } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';

await main(async (stack, signal) => {
  signal.addEventListener('abort', () => {
    process.exitCode = 130;
  });
  const packages = readdirSync(`${root}packages`).filter((name) => existsSync(`${root}packages/${name}/test`));
  // Not by its name: what pnpm puts on PATH would run it on the Node of the lockfile, and not on the one that runs us.
  const vitest = stack.use(startCommand('node', ['node_modules/vitest/vitest.mjs', 'run', ...readArguments(packages)]));
  process.exitCode = await vitest.exitCode;
});

function readArguments(packages: string[]): string[] {
  try {
    return vitestArguments(process.argv.slice(2), packages);
  } catch (error) {
    throw new ConfigError((error as Error).message, { cause: error });
  }
}
