import { expect, test } from 'vitest';
import { backoffMs, retryAfterMs } from '../retry.ts';

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterMs('120', now)).toBe(120_000);
  expect(retryAfterMs('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30_000);
  expect(retryAfterMs('Wed, 31 Dec 2025 23:00:00 GMT', now)).toBe(0);
  expect(retryAfterMs('soon', now)).toBe(0);
});

test('the pause is anywhere up to a limit that doubles, and is bounded', () => {
  const pauses = (attempt: number) => Array.from({ length: 2_000 }, () => backoffMs(attempt, null));
  for (const [attempt, limit] of [
    [0, 100],
    [1, 200],
    [3, 800],
    [20, 5_000],
  ] as const) {
    expect(Math.max(...pauses(attempt))).toBeLessThanOrEqual(limit);
    expect(Math.max(...pauses(attempt))).toBeGreaterThan(limit * 0.9);
    expect(Math.min(...pauses(attempt))).toBeLessThan(limit * 0.1);
  }
});
