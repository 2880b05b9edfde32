/**
 * Kills at random moments, from a seed: what `pnpm chaos <pattern>` does to a pattern while it works.
 *
 * The moments are shares of the work, not of time: so all of them fall into it, however fast the machine is. The same seed
 * gives the same moments and the same victims in the same order; what is in flight just then is the machine's, so a run is
 * like another one with its seed, and not the same.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

/** What a pattern's `chaos.ts` gets. It exports `run(options)`, and `flags` if it has some of its own. */
export interface ChaosOptions {
  readonly seed: number;
  readonly kills: number;
  /** Jobs, webhooks: what is counted in the end. */
  readonly items: number;
  /** REDIS_URL, REDIS_PREFIX and DATABASE_URL, as far as the pattern needs them: for the processes that it starts. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The pattern's own flags, as given. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  /** After this long whatever is not done counts as lost. */
  readonly deadlineMs: number;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface ChaosResult {
  /** What was counted, to be shown. */
  readonly counted: Readonly<Record<string, string | number>>;
  /** Each is a sentence about what differs from what must be. Empty: all is well. */
  readonly wrong: readonly string[];
}

/** Between 0 and 1, 1 excluded. */
export type Random = () => number;

/** The same sequence for the same seed, an integer from 0 to 2^32 - 1 [mulberry32]. For moments, never for secrets. */
export function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed that nobody chose: print it. */
export function randomSeed(): number {
  return randomInt(2 ** 32);
}

export interface Victim {
  /** What is killed: `worker`, `broker connection`. */
  readonly name: string;
  /** Kills one of them, and sees to its return. Resolves when it is dead, with what to say about it. */
  kill(random: Random): Promise<string>;
}

export interface KillOptions {
  readonly random: Random;
  readonly kills: number;
  /** Each is hit as often as any other, give or take one. */
  readonly victims: readonly Victim[];
  /** The share of the work that is done, from 0 to 1. It may throw while its server is being killed. */
  readonly progress: () => Promise<number>;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Seldom enough not to load what is asked, often enough that a kill comes within a hundredth of the work. */
const LOOK_MS = 20;

/** Kills are not to come just after a look, always in the same phase of the work. */
const JITTER_MS = 50;

// #region random-kills
/** Resolves when the last one has been killed, with the number of kills by victim. Rejects when `signal` aborts. */
export async function randomKills(options: KillOptions): Promise<Record<string, number>> {
  const { random, kills, victims, progress, say, signal } = options;
  // None before the work has begun, and none so late that nothing is left to go wrong.
  const moments = Array.from({ length: kills }, () => 0.01 + 0.9 * random()).sort((a, b) => a - b);
  const order = shuffled(
    Array.from({ length: kills }, (_, n) => victims[n % victims.length]!),
    random,
  );
  const count: Record<string, number> = {};
  for (const [n, victim] of order.entries()) {
    while ((await progress().catch(() => 0)) < moments[n]!) await pause(LOOK_MS, undefined, { signal });
    await pause(JITTER_MS * random(), undefined, { signal });
    const about = await victim.kill(random);
    count[victim.name] = (count[victim.name] ?? 0) + 1;
    say(`${String(n + 1).padStart(3)} of ${kills}, at ${Math.round(100 * moments[n]!)} %: ${about}`);
  }
  return count;
}
// #endregion

/** A copy in random order [Fisher-Yates]. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [copy[last], copy[other]] = [copy[other]!, copy[last]!];
  }
  return copy;
}
