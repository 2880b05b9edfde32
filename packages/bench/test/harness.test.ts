/** The parts of which benchmarks are made. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { describe, expect, test } from 'vitest';
import { probeNoise } from '../noise.ts';
import { plotPools } from '../plot.ts';
import { startChild } from '../processes.ts';
import { renderResults } from '../render.ts';
import { isReached, percentile, type Results, spread } from '../results.ts';
import { runRounds } from '../rounds.ts';
import type { Fixture } from './fixtures/child.ts';

const startFixture = () => startChild<Fixture>(new URL('fixtures/child.ts', import.meta.url));

describe('processes', () => {
  test('a child answers, and says when it could not', async () => {
    await using _leaks = noLeaks();
    await using child = startFixture();
    expect(await child.ask('double', 21)).toBe(42);
    await expect(child.ask('fail', undefined)).rejects.toThrow('on purpose');
  });

  test('a question to a child that ends is rejected', async () => {
    await using child = startFixture();
    await expect(child.ask('exit', undefined)).rejects.toThrow('ended with 7');
  });

  test('it reports the processor time that it has used, and its memory', async () => {
    await using child = startFixture();
    const before = await child.ask('usage', { collect: true });
    await child.ask('spin', 200);
    const after = await child.ask('usage', { collect: false });
    expect(after.cpuMicros - before.cpuMicros).toBeGreaterThanOrEqual(200_000);
    expect(after.residentBytes).toBeGreaterThan(10e6);
  });
});

test('the noise of a machine with twice as many spinning threads as cores is seen', async () => {
  const spinning = Array.from({ length: 2 * availableParallelism() }, () => new Worker('for (;;);', { eval: true }));
  try {
    await Promise.all(spinning.map((worker) => new Promise((resolve) => worker.once('online', resolve))));
    expect(await probeNoise(300)).toBeGreaterThan(0.1);
  } finally {
    await Promise.all(spinning.map((worker) => worker.terminate()));
  }
});

test('every round has each contestant once, every other round backwards, and comparisons are taken within a round', async () => {
  const order: string[] = [];
  const figures: Record<string, number[]> = { a: [10, 100, 1], b: [1, 50, 1] };
  const measure = async (name: 'a' | 'b') => {
    order.push(name);
    return { rate: figures[name]!.shift()! };
  };
  const { of, ratio, difference } = await runRounds(3, ['a', 'b'], measure, { size: 'tiny' });
  expect(order.join('')).toBe('abbaab');
  expect(of('a', 'rate')).toEqual({ median: 10, min: 1, max: 100 });
  expect(ratio('a', 'b', 'rate')).toEqual({ median: 2, min: 1, max: 10 });
  expect(difference('a', 'b', 'rate')).toEqual({ median: 9, min: 0, max: 50 });
});

test('a run that is told to stop measures nobody any more', async () => {
  const stop = new AbortController();
  const measured: string[] = [];
  const measure = async (name: string) => {
    measured.push(name);
    stop.abort(new Error('stopped'));
    return { rate: 1 };
  };
  await expect(runRounds(2, ['a', 'b'], measure, { size: 'tiny', signal: stop.signal })).rejects.toThrow('stopped');
  expect(measured).toEqual(['a']);
});

test('medians, percentiles and targets', () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
  expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
  expect(() => spread([])).toThrow(RangeError);
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([percentile(hundred, 0.5), percentile(hundred, 0.99), percentile([7], 0.99)]).toEqual([50, 99, 7]);
  expect(percentile([], 0.5)).toBeNaN();
  const target = { claim: '', unit: '', measured: spread([1, 2, 30]) };
  expect(isReached({ ...target, atLeast: 2 })).toBe(true);
  expect(isReached({ ...target, atLeast: 2.1 })).toBe(false);
  expect(isReached({ ...target, atMost: 1.9 })).toBe(false);
});

const results: Results = {
  bench: 'example',
  at: '2026-11-21T22:00:00.000Z',
  shortened: false,
  machine: 'a processor, 2 cores',
  versions: { node: '24.21.0', express: '5.3.0' },
  rounds: 3,
  noise: spread([0.5, 1.25, 0.1]),
  tables: [
    {
      title: 'A table',
      columns: ['rate', 'lost'],
      rows: [
        { name: 'ours', cells: [spread([12_345.6, 10_000, 13_000]), spread([0])] },
        { name: 'theirs', cells: [spread([1.23456, 1, 2]), null] },
      ],
      note: 'How to read it.',
    },
  ],
  targets: [
    { claim: 'fast', unit: '×', measured: spread([2.5]), atLeast: 2 },
    { claim: 'slow', unit: 'ms', measured: spread([2.5]), atMost: 2 },
  ],
  plot: 'bench.svg',
};

test('results are rendered with their spread, and with what they were taken on', () => {
  expect(renderResults(results)).toMatchInlineSnapshot(`
    "![example](bench.svg)

    **A table**

    |  | rate | lost |
    | --- | --: | --: |
    | ours | 12,346 (10,000–13,000) | 0 |
    | theirs | 1.23 (1–2) | – |

    How to read it.

    <sub>median of 3 rounds (least–most) · spinning threads lost 0.500 (0.100–1.25) % to others · a processor, 2 cores · node 24.21.0, express 5.3.0 · 2026-11-21</sub>

    |  | target | measured |  |
    | --- | --: | --: | --- |
    | fast | ≥ 2 × | 2.50 | ✓ |
    | slow | ≤ 2 ms | 2.50 | ✗ |
    "
  `);
  expect(renderResults({ ...results, shortened: true })).toMatch(/^> A shortened run/);
  for (const wrong of [undefined, null, {}, { tables: [] }]) expect(() => renderResults(wrong)).toThrow(TypeError);
});

test('the plot has every pool in both panels, and marks the knee', () => {
  const pools = [1, 4, 16].map((pool) => ({
    pool,
    rate: spread([pool * 900, pool * 1_000]),
    p99Ms: spread([100 / pool]),
  }));
  const svg = plotPools(pools, 4);
  expect(svg.match(/<circle /g)).toHaveLength(6);
  expect(svg.match(/>knee</g)).toHaveLength(2);
  // Doubling is one step to the right; the highest rate is highest up.
  const points = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
  const [one, four, sixteen] = points as [number[], number[], number[]];
  expect(four[0]! - one[0]!).toBeCloseTo(sixteen[0]! - four[0]!, 0);
  expect(sixteen[1]).toBeLessThan(four[1]!);
  expect(svg).not.toMatch(/NaN|undefined/);
});
