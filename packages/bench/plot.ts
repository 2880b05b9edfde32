/**
 * A plot as SVG, written by hand: two panels over the size of the pool, the rate above, the 99th percentile below. The colours
 * are of a middle tone, to be read on light and on dark ground alike; an image in a page does not know which of them it is on.
 */
import type { Spread } from './results.ts';

export interface PlottedPool {
  /** Connections. */
  pool: number;
  /** Look-ups per second. */
  rate: Spread;
  p99Ms: Spread;
}

const WIDTH = 640;
const PANEL = 170;
const LEFT = 64;
const RIGHT = 20;
const GAP = 46;
const INK = '#7d8590';

/** @param knee the size beyond which nothing is gained; it is marked. */
export function plotPools(pools: readonly PlottedPool[], knee: number): string {
  const height = 2 * PANEL + 2 * GAP + 24;
  const upper = panel({
    label: 'look-ups per second',
    colour: '#2f81f7',
    top: 28,
    pools,
    knee,
    of: (pool) => pool.rate,
  });
  const lower = panel({
    label: 'p99, ms',
    colour: '#d9730d',
    top: 28 + PANEL + GAP,
    pools,
    knee,
    of: (pool) => pool.p99Ms,
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="${INK}">
  <title>Look-ups per second and 99th percentile by the size of the pool; the knee is at ${knee}</title>
${[...upper, ...lower].map((line) => `  ${line}`).join('\n')}
  ${text((LEFT + WIDTH - RIGHT) / 2, height - 8, 'connections in the pool', 'middle')}
</svg>
`;
}

interface Panel {
  label: string;
  colour: string;
  top: number;
  pools: readonly PlottedPool[];
  knee: number;
  of: (pool: PlottedPool) => Spread;
}

function panel({ label, colour, top, pools, knee, of }: Panel): string[] {
  const bottom = top + PANEL;
  const step = roundStep(Math.max(...pools.map((pool) => of(pool).max)) / 4);
  const highest = step * Math.ceil(Math.max(...pools.map((pool) => of(pool).max)) / step);
  const y = (value: number) => round(bottom - (value / highest) * PANEL);
  // Doubling the pool is one step to the right.
  const widest = Math.log2(pools.at(-1)!.pool) || 1;
  const x = (pool: number) => round(LEFT + 12 + (Math.log2(pool) / widest) * (WIDTH - LEFT - RIGHT - 24));

  const lines = [text(LEFT, top - 10, label, 'start', colour)];
  for (let value = 0; value <= highest; value += step) {
    lines.push(`<path d="M${LEFT} ${y(value)}H${WIDTH - RIGHT}" stroke="${INK}" stroke-opacity="0.3"/>`);
    lines.push(text(LEFT - 8, y(value) + 4, value.toLocaleString('en'), 'end'));
  }
  lines.push(`<path d="M${x(knee)} ${top}V${bottom}" stroke="${INK}" stroke-dasharray="4 3"/>`);
  lines.push(text(x(knee) + 6, top + 12, 'knee', 'start'));
  lines.push(
    `<path d="M${pools.map((each) => `${x(each.pool)} ${y(of(each).median)}`).join('L')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
  );
  for (const each of pools) {
    const { median, min, max } = of(each);
    lines.push(`<path d="M${x(each.pool)} ${y(min)}V${y(max)}" stroke="${colour}"/>`);
    lines.push(`<circle cx="${x(each.pool)}" cy="${y(median)}" r="3.5" fill="${colour}"/>`);
    lines.push(text(x(each.pool), bottom + 16, String(each.pool), 'middle'));
  }
  return lines;
}

/** 1, 2 or 5 times a power of ten, at least `value`. */
function roundStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= value)!;
}

const round = (value: number) => Math.round(value * 10) / 10;

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end', colour = INK): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${colour}">${content}</text>`;
}
