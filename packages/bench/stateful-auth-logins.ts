/** The process of the stateful-auth benchmark that hashes passwords, as each login has to. */
import { createHasher } from '@patterns/stateful-auth/password';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

async function run({ concurrent, durationMs }: { concurrent: number; durationMs: number }) {
  const hasher = createHasher({ concurrent });
  const password = 'tomato soup for table 7';
  const text = await hasher.hash(password);
  const before = { bytes: process.memoryUsage.rss(), cpu: process.cpuUsage() };
  const tookMs: number[] = [];
  const startedAt = performance.now();
  const customer = async () => {
    while (performance.now() - startedAt < durationMs) {
      const askedAt = performance.now();
      const { isRight } = await hasher.verify(password, text);
      if (!isRight) throw new Error('a right password was refused');
      tookMs.push(performance.now() - askedAt);
    }
  };
  await Promise.all(Array.from({ length: concurrent }, customer));
  const { user, system } = process.cpuUsage(before.cpu);
  return {
    rate: tookMs.length / ((performance.now() - startedAt) / 1_000),
    p50Ms: percentile(tookMs, 0.5),
    cpuMs: (user + system) / 1_000 / tookMs.length,
    // The most that it ever had: between two digests the memory is given back.
    memoryMb: Math.max(0, process.resourceUsage().maxRSS * 1_024 - before.bytes) / 1e6,
  };
}

const handlers = { run };
export type Logins = typeof handlers;
answer(handlers);
