/**
 * The process of the stateless-auth benchmark that verifies or signs: `node stateless-auth-verify.ts <name>`.
 * One process does one kind: what one library makes of the compiled code is not the next one's.
 */
import { answer } from './processes.ts';
import { signers, verifiers, type Work } from './stateless-auth-verifiers.ts';

const prepare = { ...verifiers, ...signers }[process.argv[2] ?? ''];
const work = prepare?.(Number(process.env.CACHE_ENTRIES ?? 10_000));

/** Looking at the clock costs as much as the cheapest of them. */
const BATCH = 50;

async function run({ durationMs }: { durationMs: number }): Promise<{ count: number; tookMs: number }> {
  const { tokens, once } = (await work) as Work;
  const isAsync = once(tokens[0]!) instanceof Promise;
  for (const token of tokens) await once(token); // each of them before it counts
  const startedAt = performance.now();
  let tookMs = 0;
  let count = 0;
  for (; tookMs < durationMs; tookMs = performance.now() - startedAt) {
    for (let i = 0; i < BATCH; i++) {
      const done = once(tokens[count++ % tokens.length]!);
      if (isAsync) await done;
    }
  }
  return { count, tookMs };
}

const handlers = { run };
export type TokenWork = typeof handlers;
answer(handlers);
