/**
 * Runs a command of this repository in the foreground: its output is ours. Whoever waits for it can end it, and is told its
 * exit code in every case.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root, with a trailing slash. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Command extends AsyncDisposable {
  /** As a shell has it: 128 and the signal's number when a signal ended it. Rejects when it cannot be started. */
  readonly exitCode: Promise<number>;
}

/** Longer than the tests' own clean-up of databases and servers takes. */
const STOP_GRACE_MS = 7_000;

/**
 * Starts `program`, by name as in a script of package.json, at the root. It stays in our process group, so ^C reaches it
 * without us; disposing sends SIGTERM, and SIGKILL after a deadline.
 */
export function startCommand(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Command {
  // Our own Node first: whichever runs us runs what we start.
  const PATH = [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter);
  const child = spawn(program, args, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH, ...env } });
  const { promise: exitCode, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', reject);
  child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
  exitCode.catch(() => {}); // whoever only disposes it is not told that it never ran
  return {
    exitCode,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
      await exitCode.catch(() => {});
      clearTimeout(timer);
    },
  };
}
