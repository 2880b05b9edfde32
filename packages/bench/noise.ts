/**
 * How much of the machine somebody else is using: a thread per core spins, and counts the time that it did not get.
 * On a quiet machine that is well under 1 %. Figures taken beside a probe of 20 % say little.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** Shorter is the loop's own step and an interrupt; longer is another process, or another guest of the host. */
const GAP_MS = 0.05;

/** The share of time, 0 to 1, that spinning threads lose, on as many cores as a server and its load generator use. */
export async function probeNoise(durationMs = 250): Promise<number> {
  const cores = Math.min(2, availableParallelism());
  const lost = await Promise.all(
    Array.from({ length: cores }, async () => {
      const worker = new Worker(new URL(import.meta.url), { workerData: durationMs });
      const [share] = await once(worker, 'message');
      await worker.terminate();
      return share as number;
    }),
  );
  return Math.max(...lost);
}

function spin(durationMs: number): number {
  const startedAt = performance.now();
  let last = startedAt;
  let lost = 0;
  while (last - startedAt < durationMs) {
    const now = performance.now();
    if (now - last > GAP_MS) lost += now - last;
    last = now;
  }
  return lost / (last - startedAt);
}

if (!isMainThread && typeof workerData === 'number') parentPort?.postMessage(spin(workerData));
