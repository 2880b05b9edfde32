/**
 * One order's trace as a tree: who was asked by whom, when that began, and how long it took. A child may begin after its parent is
 * over: an answer is given, and what was promised in it is done afterwards.
 */
import type { CollectedSpan } from './trace-collector.ts';

/** The lines of the tree. A span whose parent is not among `spans` stands at the root, with a note. */
export function traceTree(spans: readonly CollectedSpan[]): string[] {
  const first = Math.min(...spans.map(({ startedAt }) => startedAt));
  const rows: { label: string; from: string; took: string; note: string }[] = [];
  /** In order; those that say the same and lead to nothing are one line. */
  const folded = (siblings: readonly CollectedSpan[]) => {
    const inOrder = siblings.toSorted((a, b) => a.startedAt - b.startedAt);
    const nameOf = (span: CollectedSpan) =>
      children.has(span.spanId) || span.error ? span.spanId : `${span.service} ${span.name}`;
    return [...Map.groupBy(inOrder, nameOf).values()].map((same) => ({ child: same[0]!, times: same.length }));
  };
  const children = Map.groupBy(spans, ({ parentId }) => parentId);
  const add = (span: CollectedSpan, before: string, branch: string, below: string, note = '') => {
    rows.push({
      label: `${before}${branch}${span.service}: ${span.name}`,
      from: `+${(span.startedAt - first).toFixed(0)}`,
      took: `${(span.endedAt - span.startedAt).toFixed(1)} ms`,
      note: span.error ? `failed: ${span.error}` : note,
    });
    const inside = folded(children.get(span.spanId) ?? []);
    inside.forEach(({ child, times }, i) => {
      const isLast = i === inside.length - 1;
      const more = times > 1 ? `the first of ${times}` : '';
      add(child, before + below, isLast ? '└─ ' : '├─ ', isLast ? '   ' : '│  ', more);
    });
  };
  const lost = new Set(missingParents(spans));
  for (const span of spans.toSorted((a, b) => a.startedAt - b.startedAt)) {
    if (span.parentId === undefined) add(span, '', '', '');
    else if (lost.has(span)) add(span, '', '', '', 'its parent is missing');
  }
  const width = (column: 'label' | 'from' | 'took') => Math.max(0, ...rows.map((row) => row[column].length));
  const widths = { label: width('label'), from: width('from'), took: width('took') };
  return rows.map(({ label, from, took, note }) =>
    `${label.padEnd(widths.label)}  ${from.padStart(widths.from)}  ${took.padStart(widths.took)}  ${note}`.trimEnd(),
  );
}

/** Spans that name a parent which is not among them: a hop that has made an id and reported no span for it. */
export function missingParents(spans: readonly CollectedSpan[]): CollectedSpan[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  return spans.filter(({ parentId }) => parentId !== undefined && !ids.has(parentId));
}
