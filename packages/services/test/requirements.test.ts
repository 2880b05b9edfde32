/** What is missing is told: a run without Redis goes on, and says which suites it skipped and why. */
import { symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startProcess } from '@patterns/kit/testing/processes';
import { describe, expect, test } from 'vitest';
import { extras, findExtra, installCommand } from '../extras.ts';
import { locateRedis } from '../redis.ts';
import { temporaryFolder } from './temporary-folder.ts';

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const fixture = fileURLToPath(new URL('fixtures/without-redis', import.meta.url));

/** An empty PATH has no Redis; the containers of docker-compose.yml would be found all the same. */
const composeAnswers = (await locateRedis({ env: { PATH: '' } }).catch(() => undefined))?.from === 'compose';

describe.skipIf(composeAnswers)('a run without Redis', () => {
  async function run(env: Record<string, string>) {
    await using empty = await temporaryFolder();
    await using process = startProcess(vitest, {
      args: ['run', '--root', fixture, '--reporter', 'verbose'],
      env: { PATH: empty.path, REDIS_URL: '', NO_COLOR: '1', REQUIRE_EXTRAS: undefined, VITEST: undefined, ...env },
    });
    const { code } = await process.exited;
    return { code, output: process.output() };
  }

  test('skips what needs it by name, with the reason, and runs the rest', async () => {
    const { code, output } = await run({});
    expect(output).toMatch(/tests that need redis are skipped: no Redis: /);
    expect(output).toMatch(/↓ .*a feed in Redis \(no Redis: .+\) > delivers/);
    expect(output).toMatch(/✓ .*needs nothing/);
    expect(output).toMatch(/Tests +1 passed \| 1 skipped/);
    expect(code).toBe(0);
  });

  test('is a failure with REQUIRE_EXTRAS=1', async () => {
    const { code, output } = await run({ REQUIRE_EXTRAS: '1' });
    expect(output).toContain('no Redis: ');
    expect(code).toBe(1);
  });

  test('is a failure when REDIS_URL names one that does not answer', async () => {
    const { code, output } = await run({ REDIS_URL: 'redis://127.0.0.1:1' });
    expect(output).toContain('REDIS_URL redis://127.0.0.1:1 does not answer');
    expect(code).toBe(1);
  });
});

describe('the command for what is missing', () => {
  test.each([
    ['apt-get', 'apt-get install -y nginx chromium', true],
    ['dnf', 'dnf install -y nginx chromium', true],
    ['brew', 'brew install nginx && brew install --cask chromium', false],
  ])('is that of %s where it is there', async (manager, command, asRoot) => {
    await using folder = await temporaryFolder();
    await symlink(process.execPath, join(folder.path, manager));
    const sudo = asRoot && process.getuid?.() !== 0 ? 'sudo ' : '';
    expect(installCommand([extras.nginx, extras.chromium], { PATH: folder.path })).toBe(sudo + command);
  });

  test('any program of an extra will do', async () => {
    await using folder = await temporaryFolder();
    await symlink(process.execPath, join(folder.path, 'google-chrome'));
    expect(findExtra('chromium', { PATH: folder.path })).toBe(join(folder.path, 'google-chrome'));
  });
});
