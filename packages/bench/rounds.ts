/**
 * Rounds: each contestant once, then all of them again, so that whatever else the machine does meets all alike. A ratio is
 * taken within a round, of neighbours in time; every other round goes backwards, so that nobody is always first.
 */
import { probeNoise } from './noise.ts';
import { type Spread, spread } from './results.ts';

export interface BenchOptions {
  /** `full` is for quoting, `quick` for looking, `tiny` to see that it runs. */
  size?: 'full' | 'quick' | 'tiny';
  /** Gets a line for people before each run. */
  say?: (line: string) => void;
  signal?: AbortSignal | undefined;
}

export interface Rounds<Name extends string, Figure extends string> {
  rounds: number;
  /** In percent. */
  noise: Spread;
  of: (name: Name, figure: Figure) => Spread;
  /** `figure` of one contestant, divided by that of another. */
  ratio: (one: Name, other: Name, figure: Figure) => Spread;
  /** `figure` of one contestant, less that of another. */
  difference: (one: Name, other: Name, figure: Figure) => Spread;
}

export async function runRounds<Name extends string, Figure extends string>(
  rounds: number,
  names: readonly Name[],
  measure: (name: Name) => Promise<Record<Figure, number>>,
  { size, say, signal }: BenchOptions,
): Promise<Rounds<Name, Figure>> {
  const taken = new Map(names.map((name) => [name, [] as Record<Figure, number>[]]));
  const noise: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const name of round % 2 === 1 ? names : names.toReversed()) {
      signal?.throwIfAborted();
      const lost = (await probeNoise(size === 'full' ? 250 : 100)) * 100;
      noise.push(lost);
      say?.(`round ${round} of ${rounds}: ${name}   (spinning threads lose ${lost.toFixed(1)} %)`);
      taken.get(name)!.push(await measure(name));
    }
  }
  const figures = (name: Name, figure: Figure) => taken.get(name)!.map((each) => each[figure]);
  const compare = (by: (a: number, b: number) => number) => (one: Name, other: Name, figure: Figure) => {
    const others = figures(other, figure);
    return spread(figures(one, figure).map((value, round) => by(value, others[round]!)));
  };
  return {
    rounds,
    noise: spread(noise),
    of: (name, figure) => spread(figures(name, figure)),
    ratio: compare((a, b) => a / b),
    difference: compare((a, b) => a - b),
  };
}
