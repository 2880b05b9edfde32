/**
 * A process of the stateless-auth benchmark that verifies and signs. One for each library: what the engine makes of the code of one
 * is not the next one's.
 */
import { answer } from './processes.ts';
import { signers, verifiers, type Work } from './stateless-auth-verifiers.ts';

const prepared = new Map<string, Work>();

/** Looking at the clock costs as much as the cheapest of them. */
const BATCH = 50;

async function run({ name, cacheEntries, durationMs }: { name: string; cacheEntries: number; durationMs: number }) {
  const work = prepared.get(name) ?? (await { ...verifiers, ...signers }[name]!(cacheEntries));
  prepared.set(name, work);
  const { tokens, once } = work;
  const isAsync = once(tokens[0]!) instanceof Promise;
  for (const token of tokens) await once(token); // each of them before it counts
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let tookMs = 0;
  let count = 0;
  for (; tookMs < durationMs; tookMs = performance.now() - startedAt) {
    for (let i = 0; i < BATCH; i++) {
      const done = once(tokens[count++ % tokens.length]!);
      if (isAsync) await done;
    }
  }
  const { user, system } = process.cpuUsage(cpu);
  return { micros: (tookMs * 1_000) / count, rate: count / (tookMs / 1_000), cpuMicros: (user + system) / count };
}

const handlers = { run };
export type TokenWork = typeof handlers;
answer(handlers);
