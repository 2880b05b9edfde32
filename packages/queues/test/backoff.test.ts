import { expect, test } from 'vitest';
import { backoffMs } from '../backoff.ts';

const sample = (attempt: number) =>
  Array.from({ length: 1_000 }, () => backoffMs(attempt, { baseMs: 100, capMs: 1_000 }));

test.each([
  [1, 100],
  [2, 200],
  [3, 400],
  [5, 1_000],
  [5_000, 1_000],
])('after attempt %i a job waits up to %i ms, and anything below', (attempt, limitMs) => {
  const delays = sample(attempt);
  expect(Math.max(...delays)).toBeLessThanOrEqual(limitMs);
  expect(Math.max(...delays)).toBeGreaterThan(limitMs * 0.9);
  expect(Math.min(...delays)).toBeGreaterThan(0);
  expect(Math.min(...delays)).toBeLessThan(limitMs * 0.1);
});
