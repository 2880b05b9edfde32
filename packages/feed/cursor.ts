/**
 * Cursors: their form, their order, and the one rule by which a cursor is valid.
 *
 * An id is `<milliseconds>-<sequence>`, as a Redis Stream makes it: two unsigned 64-bit numbers, so a JavaScript number does
 * not hold them, and BigInt is not needed either: of two canonical decimals the longer is the greater.
 */
import { FeedError, type FeedEvent, NOTHING_SEEN, NOW, OLDEST } from './feed.ts';

const CANONICAL = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/;
const MAX_UINT64 = '18446744073709551615';

/** Whether the text is an id in canonical form: the only form in which a feed hands one out. */
export function isCursor(text: string): boolean {
  const match = CANONICAL.exec(text);
  if (!match) return false;
  const [, ms = '', sequence = ''] = match;
  return compareDecimals(ms, MAX_UINT64) <= 0 && compareDecimals(sequence, MAX_UINT64) <= 0;
}

/** Negative when `a` was appended before `b`, 0 when they are the same event, positive otherwise. For canonical ids. */
export function compareIds(a: string, b: string): number {
  const dashA = a.indexOf('-');
  const dashB = b.indexOf('-');
  return (
    compareDecimals(a.slice(0, dashA), b.slice(0, dashB)) || compareDecimals(a.slice(dashA + 1), b.slice(dashB + 1))
  );
}

function compareDecimals(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** The moment an id was given, in milliseconds since the epoch. */
export function timeOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')));
}

/** Throws FeedError 'cursor-malformed' unless the text is a cursor, OLDEST or NOW. */
export function assertCursor(after: string): void {
  if (after === OLDEST || after === NOW || isCursor(after)) return;
  throw new FeedError('cursor-malformed', `not a cursor: ${JSON.stringify(after.slice(0, 50))}`);
}

/** What a log holds. `first` is the oldest id retained, or `last` when none is; `last` is the last id ever given. */
export interface Extent {
  first: string;
  last: string;
  trimmed: boolean;
}

/**
 * Throws FeedError 'cursor-expired' unless it is certain that nothing after the cursor is missing: the event it names is
 * retained, or it has seen nothing and nothing was trimmed. A cursor beyond the end comes from a feed that this one replaced.
 */
export function assertRetained(after: string, { first, last, trimmed }: Extent): void {
  if (after === OLDEST || (after === NOTHING_SEEN && !trimmed)) return;
  if (compareIds(after, first) >= 0 && compareIds(after, last) <= 0) return;
  throw new FeedError('cursor-expired', `events after ${after} are no longer retained; the oldest is ${first}`, {
    oldest: first,
  });
}

/** Index of the first event after the cursor in an ordered list; its length when there is none. */
export function indexAfter(events: readonly FeedEvent[], after: string): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareIds((events[middle] as FeedEvent).id, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
