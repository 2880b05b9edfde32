/**
 * What a demo prints: a line for each thing that happens, as it happens, in one column per actor; then a table of what was
 * counted, and each claim with its tick or cross. Colours only on a terminal, and not with NO_COLOR.
 */
import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];
type Cell = string | number;

const paint = (format: Format, text: string) => styleText(format, text, { stream: process.stdout });

/** Tells one demo. The first actor stands left, the others right; arrows point the way the bytes go. */
export class Story {
  readonly #width: number;
  readonly #left: string;
  readonly #startedAt = performance.now();
  readonly #measures = new Map<string, Readonly<Record<string, Cell>>>();
  readonly #claims: { text: string; holds: boolean }[] = [];

  constructor(actors: readonly [string, ...string[]]) {
    this.#left = actors[0];
    this.#width = Math.max(...actors.map((actor) => actor.length));
  }

  /** Opens a part: `naive`, `sound`. */
  part(name: string, text: string): void {
    console.log(`\n${paint('bold', name)}: ${text}\n`);
  }

  /** A message on the wire. */
  wire(from: string, to: string, text: string): void {
    const rightward = from === this.#left;
    this.#line(rightward ? from : to, rightward ? '→' : '←', rightward ? to : from, text);
  }

  /** Something that an actor does or finds, with nothing on the wire. */
  act(actor: string, text: string): void {
    const isLeft = actor === this.#left;
    this.#line(isLeft ? actor : '', ' ', isLeft ? '' : actor, text);
  }

  /** A fault that is done to the actors, really. */
  fault(text: string): void {
    this.#line('', '✂', '', paint('yellow', text));
  }

  /** A command for the reader to paste into another terminal. */
  tryIt(command: string): void {
    console.log(`           ${paint('dim', 'try it:')} ${paint('cyan', command)}`);
  }

  /** What one part counted: one column of the closing table. */
  measure(part: string, values: Readonly<Record<string, Cell>>): void {
    this.#measures.set(part, { ...this.#measures.get(part), ...values });
  }

  /** A claim that the demo makes, and whether this run bore it out. One that does not hold makes the demo fail. */
  claim(text: string, holds: boolean): void {
    this.#claims.push({ text, holds });
  }

  /** Prints the table and the claims. @returns whether every claim holds, and there was one. */
  close(): boolean {
    const rows = [...new Set([...this.#measures.values()].flatMap((values) => Object.keys(values)))];
    const cells = [
      ['', ...this.#measures.keys()],
      ...rows.map((row) => [row, ...[...this.#measures.values()].map((values) => String(values[row] ?? '-'))]),
    ];
    console.log(`\n${table(cells)}\n`);
    for (const { text, holds } of this.#claims) {
      console.log(`  ${holds ? paint('green', '✓') : paint('red', '✗')} ${text}`);
    }
    console.log();
    return this.#claims.length > 0 && this.#claims.every(({ holds }) => holds);
  }

  #line(left: string, arrow: string, right: string, text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(2).padStart(6);
    const actors = `${left.padEnd(this.#width)} ${arrow} ${right.padEnd(this.#width)}`;
    console.log(`${paint('dim', `${seconds} s`)}   ${actors}   ${text}`);
  }
}

/** Lines cells up: the first column to the left, numbers to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('   '))
    .map((line) => `  ${line}`.trimEnd())
    .join('\n');
}
