import { startProcess } from '@patterns/kit/testing/processes';
import { expect, test } from 'vitest';

test('four hashes take all of the threads that a file needs; with a fifth thread the file is there first', async () => {
  const run = async (size: string) => {
    const file = new URL('../threadpool.ts', import.meta.url);
    await using program = startProcess(file, { env: { UV_THREADPOOL_SIZE: size } });
    await program.exited;
    return program.output();
  };
  expect(await run('4')).toBe('4 threads: a hash was there first');
  expect(await run('5')).toBe('5 threads: the file was there first');
});
