/**
 * What crosses the wire. Each question is a GET that may stay unanswered for a while:
 *
 *     GET /updates?after=1795212000000-0&wait=20        what came after that? I wait for up to 20 seconds
 *     GET /reports/<id>?wait=20                         is my report ready?
 *
 *     200  Cursor: 1795212004000-0                      news, and from where to ask on
 *     204  Cursor: 1795212000000-0                      nothing yet: ask again, from the same place
 *
 * 400 for a malformed question, 410 for a cursor whose events are gone, 503 with Retry-After when too many are waiting.
 * `client=<name>` says who asks: a second question of the same client for the same thing takes the place of the first.
 */
import { isCursor } from '@patterns/feed/cursor';
import type { FeedEvent } from '@patterns/feed/feed';
import { HttpProblem } from '@patterns/kit/problem';

export const UPDATES_PATH = '/updates';
export const REPORTS_PATH = '/reports';

/** Tells where to go on. On a 204 it is all there is, and what a client that asked for "from now on" goes on with. */
export const CURSOR_HEADER = 'Cursor';

/** What the feed carries. The topic of a report's events is its id. */
export type Notice =
  | { readonly type: 'message'; readonly text: string /** Counts the sender's messages. */; readonly n: number }
  | { readonly type: 'report-ordered'; readonly title: string }
  | { readonly type: 'report-ready'; readonly title: string; readonly pages: number };

export type Update = FeedEvent<Notice>;

// #region question
export interface Question {
  /** Absent: from now on. */
  readonly after: string | undefined;
  /** How long the client is ready to wait. Absent: as long as the server likes. */
  readonly waitMs: number | undefined;
  /** The name that the client gave itself. */
  readonly client: string | undefined;
}

/** @throws {HttpProblem} 400 that names the parameter. */
export function readQuestion(url: string): Question {
  const parameters = url.slice(url.indexOf('?') + 1).split('&');
  const read = (field: string, expected: string, isValid: (text: string) => boolean) => {
    // Nothing is decoded, because what is valid needs no encoding. Once for each wake-up, it counts.
    const text = parameters.find((parameter) => parameter.startsWith(`${field}=`))?.slice(field.length + 1);
    if (!text) return undefined;
    if (isValid(text)) return text;
    throw new HttpProblem(400, { detail: `${field} is malformed`, errors: [{ field, expected }] });
  };
  const after = read('after', 'the id of an update, such as 1795212000000-0', isCursor);
  const wait = read('wait', 'whole seconds', (text) => /^\d{1,5}$/.test(text));
  const client = read('client', '1 to 64 letters, digits, - or _', (text) => /^[\w-]{1,64}$/.test(text));
  return { after, waitMs: wait === undefined ? undefined : Number(wait) * 1_000, client };
}
// #endregion

/** The path of a question, as the client asks it. */
export function askFor(
  path: string,
  { after, waitSeconds, client }: { after?: string | undefined; waitSeconds: number; client: string },
): string {
  const parameters = new URLSearchParams({ ...(after && { after }), wait: String(waitSeconds), client });
  return `${path}?${parameters.toString()}`;
}

export function encodeUpdates(updates: readonly Update[]): string {
  return `${JSON.stringify({ updates })}\n`; // the line break is for whoever reads it in a terminal
}

/** What a client understands of an answer. A type of notice that it does not know is no error: a server may learn. */
export function decodeUpdates(body: unknown): Update[] {
  const { updates } = (body ?? {}) as { updates?: unknown };
  if (!Array.isArray(updates)) throw new TypeError(`not an answer of ${UPDATES_PATH}`);
  return updates.map(asUpdate).filter(({ data }) => KNOWN.has(data.type));
}

const KNOWN = new Set<string>(['message', 'report-ordered', 'report-ready'] satisfies Notice['type'][]);

function asUpdate(value: unknown): Update {
  const { id, topic, at, data } = (value ?? {}) as Record<string, unknown>;
  const isUpdate = typeof id === 'string' && isCursor(id) && typeof topic === 'string' && typeof at === 'number';
  const { type } = (data ?? {}) as { type?: unknown };
  if (!isUpdate || typeof type !== 'string') throw new TypeError('not an update');
  return { id, topic, at, data: data as Notice };
}

export interface Report {
  readonly id: string;
  readonly title: string;
  readonly pages: number;
}

export function encodeReport(report: Report): string {
  return `${JSON.stringify(report)}\n`;
}

/** @throws {TypeError} when it is no report. */
export function asReport(value: unknown): Report {
  const { id, title, pages } = (value ?? {}) as Record<string, unknown>;
  if (typeof id !== 'string' || typeof title !== 'string' || typeof pages !== 'number')
    throw new TypeError('not a report');
  return { id, title, pages };
}

/** The title of the report that is wanted. @throws {HttpProblem} 400 */
export function parseOrder(body: unknown): string {
  const { title } = (body ?? {}) as { title?: unknown };
  if (typeof title === 'string' && title.length > 0 && title.length <= 100) return title;
  throw new HttpProblem(400, {
    detail: 'no report can be made of this',
    errors: [{ field: '/title', expected: 'a text of 1 to 100 characters' }],
  });
}
