/** Results as Markdown, for a chapter and for the terminal. */
import { isReached, type Results, type Spread, type Table, type Target } from './results.ts';

/** @throws {TypeError} when `json` is not what a benchmark wrote. */
export function renderResults(json: unknown): string {
  if (!isResults(json)) throw new TypeError('these are not the results of a benchmark');
  const parts = json.tables.map(({ title, note, ...table }) =>
    [`**${title}**`, renderTable(table), ...(note ? [note] : []), conditions(json)].join('\n\n'),
  );
  if (json.plot) parts.unshift(`![${json.bench}](${json.plot})`);
  if (json.targets.length > 0) parts.push(renderTargets(json.targets));
  if (json.shortened) parts.unshift('> A shortened run: these figures show that it works, and are not for quoting.');
  return `${parts.join('\n\n')}\n`;
}

function isResults(json: unknown): json is Results {
  const { tables, targets, noise } = (json ?? {}) as Partial<Results>;
  return Array.isArray(tables) && Array.isArray(targets) && typeof noise?.median === 'number';
}

function renderTable({ columns, rows }: Pick<Table, 'columns' | 'rows'>): string {
  const lines = rows.map(({ name, cells }) => [name, ...cells.map((cell) => (cell ? figure(cell) : '–'))]);
  return [['', ...columns], ['---', ...columns.map(() => '--:')], ...lines].map(row).join('\n');
}

function renderTargets(targets: readonly Target[]): string {
  const lines = targets.map((target) => {
    const { claim, unit, measured, atLeast } = target;
    const bound = atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${atLeast}`;
    return [claim, `${bound} ${unit}`.trim(), figure(measured), isReached(target) ? '✓' : '✗'];
  });
  return [['', 'target', 'measured', ''], ['---', '--:', '--:', '---'], ...lines].map(row).join('\n');
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;

/** Median, and the smallest and greatest of all rounds. */
function figure({ median, min, max }: Spread): string {
  return min === max ? digits(median) : `${digits(median)} (${digits(min)}–${digits(max)})`;
}

/** Three digits that mean something, whole numbers from a hundred on. */
function digits(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toPrecision(3);
}

function conditions({ rounds, noise, machine, versions, at }: Results): string {
  const software = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const spun = `spinning threads lost ${figure(noise)} % to others`;
  const times = rounds === 1 ? '1 round' : `median of ${rounds} rounds (least–most)`;
  return `<sub>${[times, spun, machine, software.join(', '), at.slice(0, 10)].join(' · ')}</sub>`;
}
