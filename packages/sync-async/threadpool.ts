/**
 * `node threadpool.ts`: the other threads of a process, which nobody has to start.
 *
 * crypto.pbkdf2, fs, zlib and dns.lookup do their work in libuv's pool: four threads for the whole process, and the threads of
 * a Piscina pool share them too. Four passwords that are being hashed make a fifth question, however small, wait, with an event
 * loop that has nothing to do. Try UV_THREADPOOL_SIZE=5.
 */
import { pbkdf2 } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';

/** A fifth of a second each: long enough that there is no doubt who was first. */
const ROUNDS = 200_000;

/** Asks for four hashes and, after them, for a file's size. @returns what was there first. */
export async function whoIsFirst(): Promise<'a hash' | 'the file'> {
  const hashes = Array.from({ length: 4 }, () => promisify(pbkdf2)('secret', 'salt', ROUNDS, 32, 'sha512'));
  const file = stat(new URL(import.meta.url));
  const first = await Promise.race([
    ...hashes.map((hash) => hash.then(() => 'a hash' as const)),
    file.then(() => 'the file' as const),
  ]);
  await Promise.all([...hashes, file]);
  return first;
}

if (import.meta.main) {
  console.log(`${process.env.UV_THREADPOOL_SIZE ?? 4} threads: ${await whoIsFirst()} was there first`);
}
