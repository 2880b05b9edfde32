/**
 * `pnpm extras`: installs what some tests need beyond npm's packages (packages/services/extras.ts has the list), with
 * the system's package manager: apt as root or through a sudo that asks nothing, brew on macOS. What is there is left
 * alone, and nothing is started as a service. Where that cannot be done: the command to run, and exit code 1.
 */
import { spawnSync } from 'node:child_process';
import { aptInstall } from '@patterns/services/apt';
import { type ExtraName, extras, findExtra, installCommand, packageManager } from '@patterns/services/extras';
import { ServiceError } from '@patterns/services/service';

const names = Object.keys(extras) as ExtraName[];
const lacking = (): ExtraName[] => names.filter((name) => findExtra(name) === undefined);

try {
  const wanted = lacking();
  if (wanted.length > 0) await install(wanted);
} catch (error) {
  if (!(error instanceof ServiceError)) throw error;
  console.error(error.message);
}
for (const name of names) console.log(`${name.padEnd(10)} ${findExtra(name) ?? 'not installed'}`);
const left = lacking().map((name) => extras[name]);
if (left.length > 0) {
  console.error(`\nTo install the rest: ${installCommand(left) ?? left.map(({ name }) => name).join(', ')}`);
  process.exitCode = 1;
}

async function install(wanted: ExtraName[]): Promise<void> {
  const manager = packageManager();
  const root = process.getuid?.() === 0;
  const command = installCommand(wanted.map((name) => extras[name]));
  if (command === undefined) return;
  if (manager === 'apt-get' && (root || sudoAsksNothing())) {
    console.log(`${command} (started as a service: none)`);
    await aptInstall(
      wanted.map((name) => extras[name].packages['apt-get']),
      { sudo: !root },
    );
  } else if (manager === 'brew') {
    console.log(command);
    spawnSync('sh', ['-c', command], { stdio: 'inherit' });
  }
}

function sudoAsksNothing(): boolean {
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0;
}
