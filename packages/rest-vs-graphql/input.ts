/**
 * Reading what comes from outside: the same rules whichever server it came to. A value is `unknown` until a function here has
 * read it. Each of them throws a BlogError `invalid` that names the field.
 */
import type { FieldError } from '@patterns/kit/problem';
import { BlogError } from './blog-error.ts';
import { LIMITS } from './protocol.ts';

export interface NewPost {
  readonly title: string;
  readonly body: string;
  readonly isPublished: boolean;
}

/** What is undefined stays as it is. */
export type PostPatch = { readonly [Key in keyof NewPost]?: NewPost[Key] | undefined };

export interface NewComment {
  readonly body: string;
}

/** The largest `int` of PostgreSQL: beyond, the statement would fail. */
const MAX_ID = 2_147_483_647;

/** An id of a path or an argument, as text. @throws {BlogError} `invalid` */
export function readId(text: string, field = 'id'): number {
  const id = Number(text);
  if (/^[1-9]\d*$/.test(text) && id <= MAX_ID) return id;
  throw invalid([{ field, expected: `an integer from 1 to ${MAX_ID}` }]);
}

// #region cursor
export type CursorKind = 'post' | 'comment';

/** Where a page ended. Opaque to clients, so that it may become something else one day. */
export function encodeCursor(kind: CursorKind, id: number): string {
  return Buffer.from(`${kind}:${id}`).toString('base64url');
}

/** @throws {BlogError} `invalid`, also for a cursor of another list. */
export function readCursor(kind: CursorKind, text: string, field = 'after'): number {
  const [, id = ''] = Buffer.from(text, 'base64url').toString().split(`${kind}:`);
  if (/^[1-9]\d*$/.test(id) && Number(id) <= MAX_ID && encodeCursor(kind, Number(id)) === text) return Number(id);
  throw invalid([{ field, expected: `a cursor that a list of ${kind}s has given` }]);
}
// #endregion

/** How many rows a page has. @throws {BlogError} `invalid` */
export function readPageSize(text: string | undefined, field = 'limit'): number {
  if (text === undefined) return LIMITS.pageSize;
  const size = Number(text);
  if (/^\d+$/.test(text) && size >= 1 && size <= LIMITS.maxPageSize) return size;
  throw invalid([{ field, expected: `an integer from 1 to ${LIMITS.maxPageSize}` }]);
}

/** Unless it is said otherwise, a post is published. @throws {BlogError} `invalid` */
export function readNewPost(value: unknown): NewPost {
  const input = new Input(value, ['title', 'body', 'isPublished']);
  const title = input.text('title', LIMITS.titleLength) ?? input.missing('title');
  const body = input.text('body', LIMITS.bodyLength) ?? input.missing('body');
  const isPublished = input.boolean('isPublished') ?? true;
  input.check();
  return { title, body, isPublished };
}

/** @throws {BlogError} `invalid`, also for null: in a merge patch that removes a member [RFC 7396 §1], and none of these can be. */
export function readPostPatch(value: unknown): PostPatch {
  const input = new Input(value, ['title', 'body', 'isPublished']);
  const patch = {
    title: input.text('title', LIMITS.titleLength),
    body: input.text('body', LIMITS.bodyLength),
    isPublished: input.boolean('isPublished'),
  };
  input.check();
  return patch;
}

/** @throws {BlogError} `invalid` */
export function readNewComment(value: unknown): NewComment {
  const input = new Input(value, ['body']);
  const body = input.text('body', LIMITS.commentLength) ?? input.missing('body');
  input.check();
  return { body };
}

/** An object being read: collects everything that is wrong with it, not only the first. */
class Input {
  readonly #members: Record<string, unknown>;
  readonly #errors: FieldError[] = [];

  constructor(value: unknown, known: readonly string[]) {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isObject) this.#errors.push({ field: '', expected: 'an object' });
    this.#members = isObject ? { ...value } : {};
    for (const name of Object.keys(this.#members)) {
      if (!known.includes(name)) this.#expect(name, `nothing: what can be written is ${known.join(', ')}`);
    }
  }

  text(name: string, most: number): string | undefined {
    const value = this.#members[name];
    if (value === undefined) return undefined;
    // PostgreSQL's text cannot hold the character NULL.
    if (typeof value === 'string' && value.trim() !== '' && value.length <= most && !value.includes('\0')) return value;
    this.#expect(name, `a text of 1 to ${most} characters`);
    return '';
  }

  boolean(name: string): boolean | undefined {
    const value = this.#members[name];
    if (value === undefined || typeof value === 'boolean') return value;
    this.#expect(name, 'true or false');
    return undefined;
  }

  missing(name: string): string {
    if (this.#members[name] === undefined) this.#expect(name, 'a text');
    return '';
  }

  check(): void {
    if (this.#errors.length > 0) throw invalid(this.#errors);
  }

  /** Member names go into a JSON pointer [RFC 6901 §3]. */
  #expect(name: string, expected: string): void {
    this.#errors.push({ field: `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, expected });
  }
}

/** @param errors says where, and what would have been right. */
export function invalid(errors: readonly FieldError[]): BlogError {
  return new BlogError('invalid', 'the request cannot be understood', { errors });
}
