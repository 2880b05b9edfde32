/**
 * When to ask again: a pure function of how the last poll ended, what the server asked for, and chance.
 *
 * News brings the interval down to its least, quiet lets it grow; a failure waits at random, up to twice as long each time
 * ("full jitter"). Everything is random, because clients in step with each other are a wave that comes back every interval.
 */
export interface Bounds {
  /** The interval after news, and the first step after a failure. */
  readonly minMs: number;
  /** The interval when it has long been quiet, and the longest wait after a failure. */
  readonly maxMs: number;
}

export type Outcome = 'news' | 'nothing' | 'failure';

export interface Rhythm {
  readonly intervalMs: number;
  /** Failures in a row. */
  readonly failures: number;
}

/** Each poll that finds nothing makes the interval half as long again: from 2 s to 30 s in seven polls. */
const GROWTH = 1.5;
/** A tenth to either side: enough to drift apart in some ten polls, too little to be felt. */
const JITTER = 0.1;

// #region interval
/** The rhythm after a poll. */
export function adapt({ intervalMs, failures }: Rhythm, outcome: Outcome, { minMs, maxMs }: Bounds): Rhythm {
  if (outcome === 'failure') return { intervalMs, failures: failures + 1 };
  if (outcome === 'news') return { intervalMs: minMs, failures: 0 };
  return { intervalMs: Math.min(maxMs, intervalMs * GROWTH), failures: 0 };
}

/** How long to wait now, in milliseconds; never less than the server asked for. `random` is from 0 to 1. */
export function waitMs(
  { intervalMs, failures }: Rhythm,
  { minMs, maxMs }: Bounds,
  askedMs: number,
  random = Math.random(),
): number {
  const ownMs =
    failures > 0 ? random * Math.min(maxMs, minMs * 2 ** failures) : intervalMs * (1 - JITTER + 2 * JITTER * random);
  return Math.max(ownMs, askedMs * (1 + 2 * JITTER * random));
}
// #endregion
