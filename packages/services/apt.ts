/**
 * Installs packages on Debian and Ubuntu without starting what they contain.
 *
 * Debian's packages start their service when they are installed, on its well-known port. A policy (/usr/sbin/policy-rc.d,
 * whose exit code 101 forbids it) prevents that: ours is there while apt-get runs, the one that was there before comes
 * back after it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { ServiceError } from './service.ts';

// A shell in a session of its own, and not this process, puts the policy back: it outlives us if we are killed, and so
// does apt-get, which must never be stopped halfway (hence the log: a pipe to us would break). The lock keeps two runs
// from taking each other's policy for the one that was there before.
const script = `
policy="$1"; shift
exec 9<"$(dirname "$policy")"
flock 9
log=$(mktemp)
restore() {
  rm -f "$policy"
  if [ -e "$policy.before" ]; then mv "$policy.before" "$policy"; fi
  tail -n 50 "$log"
  rm -f "$log"
}
trap restore EXIT
if [ -e "$policy" ]; then mv "$policy" "$policy.before"; fi
printf '#!/bin/sh\\nexit 101\\n' > "$policy"
chmod 755 "$policy"
install() { apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" 9<&- >>"$log" 2>&1; }
install "$@" || { apt-get update 9<&- >>"$log" 2>&1 && install "$@"; }
`;

export interface AptOptions {
  env?: NodeJS.ProcessEnv;
  /** Through sudo, which must not need to ask for a password. */
  sudo?: boolean;
  /** Where Debian looks for the policy. */
  policyFile?: string;
}

/** Needs root, or `sudo`. Package lists are brought up to date only when the first attempt fails. Throws
 *  `install-failed`, with the end of what apt-get printed as cause. */
export async function aptInstall(packages: readonly string[], options: AptOptions = {}): Promise<void> {
  const { env = process.env, sudo = false, policyFile = '/usr/sbin/policy-rc.d' } = options;
  const command = ['sh', '-c', script, 'apt', policyFile, ...packages];
  const [file = '', ...args] = sudo ? ['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive', ...command] : command;
  const child = spawn(file, args, {
    env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === 0) return;
  const told = printed.split('\n').findLast((line) => line.startsWith('E: ')) ?? `exit code ${code}`;
  throw new ServiceError('install-failed', `apt-get install ${packages.join(' ')} failed: ${told}`, {
    cause: new Error(printed),
  });
}
