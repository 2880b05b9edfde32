/**
 * Finds programs without asking a shell.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';

// Debian keeps nginx where an ordinary user's PATH does not look.
const besidesPath = ['/usr/sbin', '/usr/local/sbin'];

/** The first of `names` (each a name, or an absolute path) that is there and may be run. */
export function findProgram(names: readonly string[], env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folders = [...(env.PATH ?? '').split(delimiter).filter(isAbsolute), ...besidesPath];
  return names.flatMap((name) => (isAbsolute(name) ? name : folders.map((folder) => join(folder, name)))).find(runs);
}

function runs(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What the program prints on stdout; rejects when it cannot be run, or ends with another code than 0. */
export async function output(
  file: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; uid?: number; gid?: number } = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, { timeout: 10_000, ...options });
  return stdout.trim();
}
