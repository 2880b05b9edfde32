/** What a benchmark hands over: figures with their spread, and what they were taken on. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, platform, release, totalmem } from 'node:os';

/** One figure over all rounds. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Table {
  title: string;
  /** What its columns hold, with the unit. */
  columns: string[];
  /** `null` where there is no such figure. */
  rows: { name: string; cells: (Spread | null)[] }[];
  /** How to read it. */
  note?: string;
}

/** Something to be reached, in the median. */
export interface Target {
  claim: string;
  unit: string;
  measured: Spread;
  atLeast?: number;
  atMost?: number;
}

export interface Results {
  bench: string;
  /** When, in ISO 8601. */
  at: string;
  /** A shortened run shows that everything works: its figures are not for quoting. */
  shortened: boolean;
  machine: string;
  versions: Record<string, string>;
  rounds: number;
  /** What spinning threads lost to others, in percent, before each run of a contestant. */
  noise: Spread;
  tables: Table[];
  targets: Target[];
  /** A plot, as a path from the pattern's chapter. */
  plot?: string;
}

/** @throws {RangeError} when there are no figures. */
export function spread(figures: readonly number[]): Spread {
  const sorted = figures.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new RangeError('no figures to sum up');
  const half = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
  return { median, min, max };
}

/** The figure that a share (0 to 1) of the figures is not above. NaN when there are none. */
export function percentile(figures: readonly number[], share: number): number {
  const sorted = Float64Array.from(figures).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Whether the median reaches the target. */
export function isReached({ measured, atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Target) {
  return measured.median >= atLeast && measured.median <= atMost;
}

/** Processor, cores, memory, kernel. */
export function describeMachine(): string {
  const cpu = cpus()[0]?.model.trim() ?? 'unknown processor';
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${cpu}, ${availableParallelism()} cores, ${gib} GiB, ${platform()} ${release()}`;
}

/** The installed versions of Node and of dependencies of this package. */
export function versionsOf(...packages: string[]): Record<string, string> {
  const version = (name: string) => {
    // By its path: not every package exports its package.json.
    const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  };
  return { node: process.versions.node, ...Object.fromEntries(packages.map((name) => [name, version(name)])) };
}
