/** A benchmark in its smallest size, for tests of what it hands over. */
import { expect } from 'vitest';
import { renderResults } from '../render.ts';
import type { Results } from '../results.ts';
import type { BenchOptions } from '../rounds.ts';

/** Runs it, and checks what all have in common. */
export async function runTiny(
  bench: { run: (options: BenchOptions) => Promise<Results> },
  name: string,
): Promise<Results> {
  const said: string[] = [];
  const results = await bench.run({ size: 'tiny', say: (line) => said.push(line) });
  expect(results).toMatchObject({ bench: name, shortened: true, rounds: 1 });
  expect(results.plot).toBeUndefined(); // only a full run draws one
  expect(results.noise.median).toBeGreaterThanOrEqual(0);
  expect(said.some((line) => /spinning threads lose/.test(line))).toBe(true);
  for (const { columns, rows } of results.tables) {
    for (const { name, cells } of rows) {
      expect(cells, name).toHaveLength(columns.length);
      // Memory after garbage collection may shrink; everything else that was measured is more than nothing, or nothing lost.
      const figures = cells.filter((_, i) => columns[i] !== 'resident memory per stream, KB');
      for (const cell of figures) expect(cell?.min, name).toBeGreaterThanOrEqual(0);
    }
  }
  expect(results.targets.length).toBeGreaterThan(0);
  expect(renderResults(JSON.parse(JSON.stringify(results)))).toContain(results.tables[0]!.title);
  return results;
}
