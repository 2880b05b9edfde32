/**
 * What crosses the wire, for both servers. REST has a path for each kind of thing:
 *
 *     GET   /users/:id                    200 a user, with an ETag; 304 when If-None-Match says that the client has it
 *     GET   /users/:id/posts              200 a page of them, newest first; `Link: <...>; rel="next"` leads to the next
 *     GET   /posts                        200 likewise, everybody's
 *     POST  /posts                        201 and Location
 *     GET   /posts/:id                    200 a post, with the ETag that a change needs
 *     PATCH /posts/:id                    200 the changed post; 412 when If-Match is no longer true, 428 without one
 *     GET   /posts/:id/comments           200 a page of them, newest first
 *     POST  /posts/:id/comments           201 and Location
 *     GET   /posts/:id/comments/:id       200 a comment
 *
 * Each GET takes `?fields=id,title`: only these. Lists take `?limit=` and, from their own links, `?after=`. Refusals are
 * application/problem+json.
 */

export const USERS = '/users';
export const POSTS = '/posts';

/** How many SQL statements an answer cost: in each answer of both servers. */
export const SQL_STATEMENTS_HEADER = 'X-SQL-Statements';

export const MERGE_PATCH = 'application/merge-patch+json'; // [RFC 7396]

/** What a client may ask for and send. Whatever is larger is a mistake or an attack. */
export const LIMITS = {
  pageSize: 10,
  maxPageSize: 100,
  titleLength: 200,
  bodyLength: 20_000,
  commentLength: 2_000,
  bodyBytes: 64 * 1024,
} as const;

// #region fields
export const USER_FIELDS = ['id', 'name', 'email', 'bio', 'createdAt', 'postCount'] as const;
/** Not its number of comments: with each of them the post would get another ETag, and whoever is editing it a 412. */
export const POST_FIELDS = ['id', 'authorId', 'title', 'body', 'isPublished', 'version', 'createdAt'] as const;
/** A post in a list. */
export const LISTED_POST_FIELDS = [...POST_FIELDS, 'commentCount'] as const;
export const COMMENT_FIELDS = ['id', 'postId', 'authorId', 'body', 'createdAt'] as const;
// #endregion

export interface UserResource {
  readonly id: number;
  readonly name: string;
  /** null for everybody but the user. */
  readonly email: string | null;
  readonly bio: string;
  readonly createdAt: string;
  readonly postCount: number;
}

export interface PostResource {
  readonly id: number;
  readonly authorId: number;
  readonly title: string;
  readonly body: string;
  readonly isPublished: boolean;
  readonly version: number;
  readonly createdAt: string;
}

export interface ListedPostResource extends PostResource {
  readonly commentCount: number;
}

export interface CommentResource {
  readonly id: number;
  readonly postId: number;
  readonly authorId: number;
  readonly body: string;
  readonly createdAt: string;
}

/** GraphQL has one path for everything: `{ query, operationName, variables }` by POST, or as a URL's parameters by GET. */
export const GRAPHQL_PATH = '/graphql';

/** With it a refused request is a 4xx; with application/json, for clients of old, it is a 200 with `errors` in it. */
export const GRAPHQL_RESPONSE = 'application/graphql-response+json';

/** Any value: a page of another site cannot send a header of its own without asking first (csrf.ts). */
export const PREFLIGHT_HEADER = 'GraphQL-Require-Preflight';
