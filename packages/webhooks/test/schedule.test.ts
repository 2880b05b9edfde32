import { describe, expect, test } from 'vitest';
import { MAX_ATTEMPTS, RETRY_WAITS_MS, readRetryAfter, restMs, retryWaitMs } from '../schedule.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('the wait before the next attempt', () => {
  test('grows: 1 min, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h; then there is none', () => {
    const waits = Array.from({ length: MAX_ATTEMPTS }, (_, n) => retryWaitMs(n + 1, 0, { chance: 0 }));
    const hours = [2, 5, 10, 14, 20, 24].map((each) => each * HOUR);
    expect(waits).toEqual([MINUTE, 5 * MINUTE, 30 * MINUTE, ...hours, undefined]);
  });

  test('is up to a fifth longer by chance, and never shorter', () => {
    expect(retryWaitMs(1, 0, { chance: 0.999_999 })).toBeCloseTo(1.2 * MINUTE, -1);
    const waits = new Set(Array.from({ length: 100 }, () => retryWaitMs(1)!));
    expect(waits.size).toBeGreaterThan(50);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(MINUTE);
  });

  test('is what the consumer asked for, when that is longer', () => {
    expect(retryWaitMs(1, 10 * MINUTE, { chance: 0 })).toBe(10 * MINUTE);
    expect(retryWaitMs(2, MINUTE, { chance: 0 })).toBe(5 * MINUTE);
  });

  test('is scaled by the factor, and what the consumer asked for is not', () => {
    expect(retryWaitMs(1, 0, { chance: 0, timeFactor: 0.001 })).toBe(60);
    expect(retryWaitMs(1, 1_000, { chance: 0, timeFactor: 0.001 })).toBe(1_000);
  });

  test('is none after the last attempt, whatever the consumer asked for', () => {
    expect(retryWaitMs(RETRY_WAITS_MS.length + 1, HOUR)).toBeUndefined();
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-21T08:00:00Z');

  test.each([
    ['120', 120_000],
    ['0', 0],
    ['999999999', 24 * HOUR],
    ['Sat, 21 Nov 2026 08:00:30 GMT', 30_000],
    ['Sat, 21 Nov 2026 07:00:00 GMT', 0],
    ['Sat, 21 Nov 2037 07:00:00 GMT', 24 * HOUR],
    ['soon', undefined],
    ['-5', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s: %s ms', (value, expected) => {
    expect(readRetryAfter(value, now)).toBe(expected);
  });

  test('without it an overloaded endpoint rests for a minute', () => {
    expect(restMs(undefined)).toBe(MINUTE);
    expect(restMs(undefined, { timeFactor: 0.1 })).toBe(6_000);
    expect(restMs(5_000, { timeFactor: 0.1 })).toBe(5_000);
  });
});
