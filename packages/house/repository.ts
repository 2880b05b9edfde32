/**
 * The repository as its rules see it (`rooms.ts`, `rules.ts`): its packages, and the text of its files.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Repository {
  readonly packages: readonly Package[];
  /** The text of a file by its path from the root; undefined when there is none. */
  readonly text: (path: string) => string | undefined;
}

export interface Package {
  /** The folder's name, which is the package's everywhere. */
  readonly name: string;
  readonly manifest: Manifest;
  readonly isPattern: boolean;
  /** Every file of it, from its folder on, without what is installed. */
  readonly files: readonly string[];
  /** The text of one of them. */
  readonly read: (file: string) => string;
}

/** What is read of a package.json. */
export interface Manifest {
  readonly name?: string;
  readonly description?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly pattern?: object;
}

/** @throws {Error} when a folder in `packages` has no package.json that can be read. */
export function readRepository(root: string): Repository {
  const text = (path: string) => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      return undefined;
    }
  };
  const packages = globSync('packages/*/package.json', { cwd: root })
    .sort()
    .map((path): Package => {
      const name = path.split('/')[1]!;
      const folder = join(root, 'packages', name);
      const manifest = JSON.parse(readFileSync(join(root, path), 'utf8')) as Manifest;
      const found = globSync('**/*.*', { cwd: folder, exclude: (file) => file === 'node_modules' });
      return {
        name,
        manifest,
        isPattern: manifest.pattern !== undefined,
        files: found.sort(),
        read: (file) => readFileSync(join(folder, file), 'utf8'),
      };
    });
  return { packages, text };
}
