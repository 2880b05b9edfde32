/**
 * What a REST client may say about how much it wants: which page of a list, and which fields.
 */
import type { Request } from 'express';
import type { Answer } from './answer.ts';
import { type CursorKind, encodeCursor, invalid, readCursor, readPageSize } from './input.ts';
import type { PageRequest } from './posts.ts';

type AnyRequest = Request<Record<string, string>>;

// #region page
/**
 * Answers one page of a list. The way to the next one is a link [RFC 8288]: a client follows it, and needs to know nothing of
 * cursors. The last page has none.
 * @param read is asked for one row more than the page has, which tells whether there is a next page.
 */
export async function answerPage<Row extends { readonly id: number }>(
  request: AnyRequest,
  kind: CursorKind,
  known: readonly (keyof Row & string)[],
  read: (page: PageRequest) => Promise<Row[]>,
): Promise<Answer> {
  const fields = readFields(request, known);
  const limit = readPageSize(parameter(request, 'limit'));
  const cursor = parameter(request, 'after');
  const after = cursor === undefined ? undefined : readCursor(kind, cursor);
  const rows = await read({ after, limit: limit + 1 });
  const page = rows.slice(0, limit);
  const body = page.map((row) => pick(row, fields));
  if (rows.length <= limit) return { body };
  const [path, query] = request.originalUrl.split('?');
  const next = new URLSearchParams(query);
  next.set('after', encodeCursor(kind, page.at(-1)!.id));
  return { body, headers: { Link: `<${path}?${next.toString()}>; rel="next"` } };
}
// #endregion

// #region fields
/**
 * The fields that `?fields=` names; without it, all. @throws {BlogError} `invalid`, for one that there is not: a client that has
 * mistyped it would otherwise be looking for its value.
 */
export function readFields<Field extends string>(request: AnyRequest, known: readonly Field[]): readonly Field[] {
  const text = parameter(request, 'fields');
  if (text === undefined) return known;
  const names = text.split(',');
  if (names.every((name) => known.some((each) => each === name))) return names as Field[];
  throw invalid([{ field: 'fields', expected: `some of ${known.join(',')}` }]);
}

/** Of `row`, what was asked for. */
export function pick<Row extends object, Field extends keyof Row>(
  row: Row,
  fields: readonly Field[],
): Pick<Row, Field> {
  return Object.fromEntries(fields.map((field) => [field, row[field]])) as Pick<Row, Field>;
}
// #endregion

function parameter({ query }: AnyRequest, field: string): string | undefined {
  const value: unknown = query[field];
  if (value === undefined || typeof value === 'string') return value;
  throw invalid([{ field, expected: 'at most once' }]);
}
