/** apt-get is a stand-in here, which writes down how it was called and what policy it found; all around it is real. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { describe, expect, test } from 'vitest';
import { aptInstall } from '../apt.ts';
import { findProgram } from '../program.ts';
import { temporaryFolder } from './temporary-folder.ts';

const standIn = `#!/bin/sh
folder=$(dirname "$0")
echo "$*" >> "$folder/calls"
"$folder/policy-rc.d" || echo "policy says $?" >> "$folder/calls"
if [ -e "$folder/fails" ]; then echo "E: Unable to locate package nothing"; exit 100; fi
if [ -e "$folder/waits" ]; then while [ -e "$folder/waits" ]; do echo working; done; echo done >> "$folder/calls"; fi
if [ -e "$folder/stale" ]; then if [ "$1" = update ]; then rm "$folder/stale"; else exit 100; fi; fi
`;
const install = '-o DPkg::Lock::Timeout=120 install -y --no-install-recommends one two';

async function withAptGet(...state: string[]) {
  const folder = await temporaryFolder();
  const file = (name: string) => join(folder.path, name);
  writeFileSync(file('apt-get'), standIn, { mode: 0o755 });
  for (const name of state) writeFileSync(file(name), name);
  const env = { ...process.env, PATH: `${folder.path}:${process.env.PATH}` };
  return {
    file,
    calls: () => readFileSync(file('calls'), 'utf8').trimEnd().split('\n'),
    options: { env, policyFile: file('policy-rc.d') },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

// flock(1) is Debian's, as apt-get is.
describe.skipIf(findProgram(['flock']) === undefined)('apt-get install', () => {
  test('runs under a policy that starts no service, which is gone afterwards', async () => {
    await using apt = await withAptGet();
    await aptInstall(['one', 'two'], apt.options);
    expect(apt.calls()).toEqual([install, 'policy says 101']);
    expect(existsSync(apt.file('policy-rc.d'))).toBe(false);
  });

  test('puts back the policy that was there before', async () => {
    await using apt = await withAptGet('policy-rc.d');
    await aptInstall(['one', 'two'], apt.options);
    expect(apt.calls()).toEqual([install, 'policy says 101']);
    expect(readFileSync(apt.file('policy-rc.d'), 'utf8')).toBe('policy-rc.d');
    expect(existsSync(apt.file('policy-rc.d.before'))).toBe(false);
  });

  test('brings the package lists up to date when it fails with what it has', async () => {
    await using apt = await withAptGet('stale');
    await aptInstall(['one', 'two'], apt.options);
    expect(apt.calls().filter((line) => !line.startsWith('policy'))).toEqual([install, 'update', install]);
  });

  test('tells why it failed, and leaves no policy then either', async () => {
    await using apt = await withAptGet('fails');
    await expect(aptInstall(['nothing'], apt.options)).rejects.toMatchObject({
      code: 'install-failed',
      message: 'apt-get install nothing failed: E: Unable to locate package nothing',
    });
    expect(existsSync(apt.file('policy-rc.d'))).toBe(false);
  });

  test('twice at once, the second waits, and the policy from before comes back', async () => {
    await using apt = await withAptGet('policy-rc.d');
    await Promise.all([aptInstall(['one', 'two'], apt.options), aptInstall(['one', 'two'], apt.options)]);
    expect(apt.calls()).toEqual([install, 'policy says 101', install, 'policy says 101']);
    expect(readFileSync(apt.file('policy-rc.d'), 'utf8')).toBe('policy-rc.d');
  });

  test('goes on to its end when we are killed, and the policy from before comes back', async () => {
    await using apt = await withAptGet('policy-rc.d', 'waits');
    const { env, policyFile } = apt.options;
    const args = [policyFile];
    await using owner = startProcess(new URL('fixtures/apt-owner.ts', import.meta.url), { args, env });
    await until('apt-get', () => apt.calls().length === 2);
    await owner.kill('SIGKILL');
    rmSync(apt.file('waits'));
    await until('the policy from before', () => readFileSync(policyFile, 'utf8') === 'policy-rc.d');
    expect(apt.calls().at(-1)).toBe('done');
  });
});
