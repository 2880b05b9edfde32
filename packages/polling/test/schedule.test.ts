import { describe, expect, test } from 'vitest';
import { readRetryAfter } from '../ask.ts';
import { createDemand } from '../demand.ts';
import { adapt, waitMs } from '../interval.ts';

const bounds = { minMs: 1_000, maxMs: 8_000 };
const fresh = { intervalMs: 1_000, failures: 0 };

describe('the interval of a client', () => {
  test('grows while it is quiet, up to its bound, and news brings it down at once', () => {
    let rhythm = fresh;
    const intervals = Array.from({ length: 7 }, () => {
      rhythm = adapt(rhythm, 'nothing', bounds);
      return Math.round(rhythm.intervalMs);
    });
    expect(intervals).toEqual([1_500, 2_250, 3_375, 5_063, 7_594, 8_000, 8_000]);
    expect(adapt(rhythm, 'news', bounds)).toEqual(fresh);
  });

  test('varies by a tenth to either side, so that clients drift apart', () => {
    expect([0, 0.5, 1].map((random) => waitMs(fresh, bounds, 0, random))).toEqual([900, 1_000, 1_100]);
  });

  test('after failures: anything up to twice as long each time, up to its bound; an answer ends that', () => {
    let rhythm = fresh;
    const longest = Array.from({ length: 4 }, () => {
      rhythm = adapt(rhythm, 'failure', bounds);
      return waitMs(rhythm, bounds, 0, 1);
    });
    expect(longest).toEqual([2_000, 4_000, 8_000, 8_000]);
    expect(waitMs(rhythm, bounds, 0, 0), 'full jitter').toBe(0);
    expect(adapt(rhythm, 'nothing', bounds).failures).toBe(0);
  });

  test('is never shorter than what the server asked for, nor the same for everybody', () => {
    const asked = [0, 1].map((random) => waitMs(fresh, bounds, 20_000, random));
    expect(asked).toEqual([20_000, 24_000]);
    expect(waitMs({ ...fresh, failures: 1 }, bounds, 20_000, 0)).toBe(20_000);
  });
});

describe('Retry-After', () => {
  const at = (seconds: number) => new Date(1_800_000_000_000 + seconds * 1_000).toUTCString();
  test.each([
    ['seconds', { 'Retry-After': '7' }, 7_000],
    ['a date, by the clock of the server', { 'Retry-After': at(7), Date: at(0) }, 7_000],
    ['a date that has passed', { 'Retry-After': at(-7), Date: at(0) }, 0],
    ['longer than a timer can wait', { 'Retry-After': '99999999' }, 86_400_000],
    ['neither form', { 'Retry-After': 'soon' }, undefined],
    ['not said', {}, undefined],
  ])('%s', (_form, headers, expected) => {
    expect(readRetryAfter(new Headers(headers as Record<string, string>))).toBe(expected);
  });

  test('a date without a Date beside it counts from now', () => {
    expect(readRetryAfter(new Headers({ 'Retry-After': at(7) }), 1_800_000_000_000)).toBe(7_000);
  });
});

describe('the interval that a server asks for', () => {
  /** Polls at a rate for some seconds; says which intervals were asked for, in order. */
  function simulate(options: { intervalS: number; maxIntervalS?: number }) {
    let now = 0;
    const countPoll = createDemand({ targetPerSecond: 100, now: () => now, ...options });
    return (perSecond: number, seconds: number) => {
      const asked: number[] = [];
      for (const end = now + seconds * 1_000; now < end; ) {
        now += 1_000 / perSecond;
        const intervalS = countPoll();
        if (asked.at(-1) !== intervalS) asked.push(intervalS);
      }
      return asked;
    };
  }

  test('stays where it is while there is no hurry', () => {
    expect(simulate({ intervalS: 2 })(90, 60)).toEqual([2]);
  });

  test('doubles while there are too many polls, a step for each interval, up to its bound', () => {
    const poll = simulate({ intervalS: 2, maxIntervalS: 12 });
    expect(poll(150, 2.5)).toEqual([2, 4]);
    expect(poll(150, 3)).toEqual([4]);
    expect(poll(150, 60)).toEqual([4, 8, 12]);
  });

  test('comes down when there are few, and not as soon as it has helped', () => {
    const poll = simulate({ intervalS: 2 });
    poll(150, 2.5);
    expect(poll(75, 60), 'half of it, because the interval is twice as long').toEqual([4]);
    expect(poll(30, 60)).toEqual([4, 2]);
  });

  test('begins at a second where clients may do as they like', () => {
    const poll = simulate({ intervalS: 0 });
    expect(poll(150, 1.5)).toEqual([0, 1]);
    expect(poll(20, 5)).toEqual([1, 0]);
  });
});
