/** A GraphQL server to be asked: with a blog of its own, or with none where nothing may come as far as a statement. */
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { inject } from 'vitest';
import type { CommentAdded } from '../comment-feed.ts';
import { type GraphqlOptions, startGraphql } from '../graphql.ts';
import { GRAPHQL_PATH, GRAPHQL_RESPONSE } from '../protocol.ts';
import { openBlog, silentLog, TOKENS } from './blog.ts';

export interface Ask {
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly operationName?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface GraphqlError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: { readonly code?: string; readonly traceId?: string; readonly fields?: unknown };
}

interface Result {
  // biome-ignore lint/suspicious/noExplicitAny: an answer has the shape of its question, which only the test knows
  readonly data?: any;
  readonly errors?: readonly GraphqlError[];
}

/** Longer than a busy machine needs for anything: what is to be cut off sooner says so. */
const PATIENT = { statementMs: 15_000, acquireMs: 15_000, operationMs: 15_000, tokens: TOKENS } as const;

/** A GraphQL server on a blog with all its rows. */
export async function startGraphqlBlog(options: Partial<GraphqlOptions> = {}) {
  await using opened = new AsyncDisposableStack();
  const blog = opened.use(await openBlog());
  const { url, feed, ask } = opened.use(await startServer({ databaseUrl: blog.databaseUrl, ...options }));
  const owned = opened.move();
  return { ...blog, url, feed, ask, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A GraphQL server on a database without tables, unless another is given: a statement would fail. */
export async function startServer(options: Partial<GraphqlOptions> = {}) {
  await using opened = new AsyncDisposableStack();
  const feed = options.feed ?? opened.use(new MemoryFeed<CommentAdded>());
  const databaseUrl = inject('databaseUrl');
  const { url: origin } = opened.use(
    await startGraphql({ databaseUrl, feed, log: silentLog(), ...PATIENT, ...options }),
  );
  const url = `${origin}${GRAPHQL_PATH}`;
  const owned = opened.move();
  return {
    url,
    feed,
    /** By POST, as a client of today: `application/graphql-response+json`. */
    ask: (query: string, { token, headers, signal, ...params }: Ask = {}) =>
      call(url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Accept: GRAPHQL_RESPONSE,
          ...(token && { Authorization: `Bearer ${token}` }),
          ...headers,
        },
        body: JSON.stringify({ query, ...params }),
        ...(signal && { signal }),
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function call(url: string, init: RequestInit = {}) {
  const response = await fetch(url, init);
  const text = await response.text();
  const isJson = response.headers.get('Content-Type')?.includes('json') ?? false;
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: (isJson && text !== '' ? JSON.parse(text) : {}) as Result,
    statements: Number(response.headers.get('X-SQL-Statements') ?? Number.NaN),
  };
}
