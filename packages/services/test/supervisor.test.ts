/** Whatever we start is gone, process and directory, however its owner ends. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { describe, expect, test } from 'vitest';
import { startPostgres } from '../start-postgres.ts';
import { startRedis } from '../start-redis.ts';
import { supervise } from '../supervise.ts';
import { requireExtra } from '../testing.ts';
import { alive, descendants } from './process-table.ts';
import { temporaryFolder } from './temporary-folder.ts';

const owner = new URL('fixtures/owner.ts', import.meta.url);
// Some tenths of a second on a quiet machine; the rest is for a busy one.
const goneMs = 5_000;

/** Only the servers' directories: Node keeps a cache of its own in TMPDIR when told so. */
const ours = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('patterns-'));

requireExtra('redis')('with a Redis to start', () => {
  describe.concurrent('an owner with a Redis and a PostgreSQL', () => {
    test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('ended by %s leaves nothing', async (signal) => {
      await using folder = await temporaryFolder();
      await using process = startProcess(owner, { args: ['waits'], env: { TMPDIR: folder.path } });
      await process.line(/^up/, { withinMs: 20_000 });
      const family = await descendants(process.pid);
      expect(family.length).toBeGreaterThanOrEqual(4); // two supervisors, two servers, and PostgreSQL's own workers
      expect(ours(folder.path)).toHaveLength(2);

      await process.kill(signal);

      await until('all processes gone', async () => (await alive(family)).length === 0, { withinMs: goneMs });
      expect(ours(folder.path)).toEqual([]);
    });

    test.each([
      ['disposes', 0],
      ['returns', 0],
      ['throws', 1],
    ])('that %s leaves nothing, and ends by itself', async (way, code) => {
      await using folder = await temporaryFolder();
      await using process = startProcess(owner, { args: [way], env: { TMPDIR: folder.path } });
      const up = await process.line(/^up/, { withinMs: 20_000 });
      expect((await process.exited).code).toBe(code);
      const servers = up.split(' ').slice(1).map(Number);
      await until('both servers gone', async () => (await alive(servers)).length === 0, { withinMs: goneMs });
      await until('both directories gone', () => ours(folder.path).length === 0, { withinMs: goneMs });
    });
  });

  describe.concurrent('an owner killed while PostgreSQL is being started leaves nothing', () => {
    const exists = (folder: string, file: string) => ours(folder).some((name) => existsSync(join(folder, name, file)));

    test.each([
      ['before its directory is there', undefined],
      ['when its directory is there', 'password'],
      ['in the middle of initdb', 'data/PG_VERSION'],
      ['when the server itself has begun', 'data/postmaster.pid'],
    ])('%s', async (_when, file) => {
      await using folder = await temporaryFolder();
      await using process = startProcess(owner, { args: ['waits'], env: { TMPDIR: folder.path } });
      await until('the moment', () =>
        file === undefined ? descendants(process.pid).then(({ length }) => length > 0) : exists(folder.path, file),
      );
      const family = await descendants(process.pid);

      await process.kill('SIGKILL');

      await until('all processes gone', async () => (await alive(family)).length === 0, { withinMs: goneMs });
      expect(ours(folder.path)).toEqual([]);
    });
  });

  test('a start that is aborted leaves nothing, and rejects with the reason', async () => {
    const before = await descendants(process.pid);
    const why = new Error('no longer wanted');
    const abort = new AbortController();
    // At this log level Redis never says that it is ready, so the start goes on until it is aborted.
    const started = startRedis({ args: ['--loglevel', 'warning'], signal: abort.signal });
    let family: number[] = [];
    await until('supervisor and server', async () => {
      family = (await descendants(process.pid)).filter((pid) => !before.includes(pid));
      return family.length === 2;
    });
    abort.abort(why);
    await expect(started).rejects.toBe(why);
    expect(await alive(family)).toEqual([]);
  });
});

test('what a killed server has started goes with it', async () => {
  await using folder = await temporaryFolder();
  const script = 'sleep 1000 & echo ready; wait';
  await using server = await supervise({
    directory: join(folder.path, 'server'),
    server: { file: '/bin/sh', args: ['-c', script] },
    ready: 'ready',
    stopSignal: 'SIGKILL',
  });
  const family = [server.pid, ...(await descendants(server.pid))];
  expect(family).toHaveLength(2);
  await server.kill();
  await until('both gone', async () => (await alive(family)).length === 0, { withinMs: goneMs });
});

test('a server that is frozen, and does not hear that it should stop, is ended too', async () => {
  const postgres = await startPostgres();
  const family = await descendants(postgres.pid);
  process.kill(postgres.pid, 'SIGSTOP');
  const { pid, directory } = postgres;
  await postgres[Symbol.asyncDispose]();
  await until('all processes gone', async () => (await alive([pid, ...family])).length === 0, { withinMs: goneMs });
  expect(existsSync(directory)).toBe(false);
});
