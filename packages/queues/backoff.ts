/**
 * When a job that failed is tried again: each time after about twice as long, and never at once. A job that is put straight back is
 * taken straight away, fails again, and keeps a worker busy with nothing else.
 */

export interface BackoffOptions {
  /** The longest that the first retry waits. Default: 1 s, in which most hiccups of a network are over. */
  baseMs?: number;
  /** The longest that any retry waits. Default: 5 min, so that a job is not forgotten when what it needs is back. */
  capMs?: number;
}

/**
 * The delay after attempt number `attempt` (1 is the first) failed, in whole milliseconds. Anything between nothing and the limit (full
 * jitter), so that jobs that failed together do not come back together: that spreads them best
 * [Exponential Backoff And Jitter, AWS Architecture Blog].
 */
export function backoffMs(attempt: number, { baseMs = 1_000, capMs = 300_000 }: BackoffOptions = {}): number {
  return Math.ceil(Math.random() * Math.min(capMs, baseMs * 2 ** (attempt - 1)));
}
