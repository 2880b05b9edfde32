/**
 * When to try again: pure functions, so that their every edge can be tested without waiting.
 *
 * The waits grow from a minute to a day, and sum up to three days: a consumer that breaks on a Friday evening has until
 * Monday. Each is made longer by chance, so that what failed together does not come back together.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The wait after the first failed attempt, after the second, and so on. After the last one the delivery is dead. */
export const RETRY_WAITS_MS: readonly number[] = [
  1 * MINUTE_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** One attempt, and one after each wait. */
export const MAX_ATTEMPTS = RETRY_WAITS_MS.length + 1;

/** A consumer may ask for a pause, but not for so long that its events grow old unnoticed. */
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS;

/** What an endpoint is spared when it says that it is overloaded, and not for how long. */
const REST_MS = MINUTE_MS;

/** An endpoint at which nothing has arrived for so long is disabled: longer than all of a delivery's waits, and some patience. */
export const DISABLE_AFTER_MS = 5 * 24 * HOUR_MS;

export interface ScheduleOptions {
  /** 1 in production. 0.001 makes a minute 60 ms, so that a demo can be watched. What a consumer asks for is not scaled. */
  timeFactor?: number;
  /** From 0 to 1. Default: random. */
  chance?: number;
}

// #region schedule
/**
 * The wait in milliseconds after `attempt` (from 1) has failed; undefined when it was the last one.
 * @param retryAfterMs what the consumer asked for. It makes the wait longer, never shorter.
 */
export function retryWaitMs(
  attempt: number,
  retryAfterMs = 0,
  { timeFactor = 1, chance = Math.random() }: ScheduleOptions = {},
): number | undefined {
  const waitMs = RETRY_WAITS_MS[attempt - 1];
  if (waitMs === undefined) return undefined;
  return Math.max(waitMs * (1 + 0.2 * chance) * timeFactor, retryAfterMs);
}
// #endregion

/** How long an endpoint that is overloaded (429, 502, 503, 504) gets nothing at all, in milliseconds. */
export function restMs(retryAfterMs: number | undefined, { timeFactor = 1 }: ScheduleOptions = {}): number {
  return retryAfterMs ?? REST_MS * timeFactor;
}

/** The field `Retry-After` in milliseconds from now, a day at most: seconds, or a date [RFC 9110 §10.2.3]. Undefined: it is neither. */
export function readRetryAfter(value: string | undefined, now = Date.now()): number | undefined {
  if (!value) return undefined;
  // A date begins with its day: V8 would take `-5` for one too.
  const date = /^[A-Z]/.test(value) ? Date.parse(value) : Number.NaN;
  const waitMs = /^\d+$/.test(value) ? Number(value) * 1_000 : date - now;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}
