/** Many calls at once, and what became of them: how the demo, and `node client.ts <url> 200`, show a pool under load. */
import { HttpProblem } from '@patterns/kit/problem';

export interface Burst {
  /** How often each outcome came: `answered`, `503`, `no answer`. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Until the last outcome. */
  readonly totalMs: number;
  /** `200 answered in 95 ms (p50 60 ms, p99 90 ms)`. */
  readonly summary: string;
}

/** Starts `count` calls in the same instant, and waits for all of them. A call gets its number, from 0. */
export async function burst(count: number, call: (n: number) => Promise<unknown>): Promise<Burst> {
  const startedAt = performance.now();
  const durations: number[] = [];
  const outcomes = new Map<string, number>();
  const add = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      await call(n).then(
        () => add('answered'),
        (error: unknown) => add(error instanceof HttpProblem ? String(error.status) : 'no answer'),
      );
      durations.push(performance.now() - startedAt);
    }),
  );
  durations.sort((a, b) => a - b);
  const at = (share: number) => Math.round(durations[Math.ceil(count * share) - 1] ?? 0);
  const [p50Ms, p99Ms, totalMs] = [at(0.5), at(0.99), at(1)];
  const text = (outcome: string, times: number) =>
    /^\d/.test(outcome) ? `${times} × ${outcome}` : `${times} ${outcome}`;
  const counts = [...outcomes].map(([outcome, times]) => text(outcome, times)).join(', ');
  return { outcomes, p50Ms, p99Ms, totalMs, summary: `${counts} in ${totalMs} ms (p50 ${p50Ms} ms, p99 ${p99Ms} ms)` };
}
