/**
 * Who asks, and what they may see and do. Both servers ask here, so that a rule is written once: a second way in to the same data
 * is a second place to forget it.
 */
import { BlogError } from './blog-error.ts';
import type { RequestDatabase } from './database.ts';

/** Nobody in particular, or somebody who has shown who they are. */
export type Viewer = { readonly userId: number } | undefined;

/** What every question to the blog comes with: the same for REST and GraphQL. */
export interface Context {
  readonly db: RequestDatabase;
  readonly viewer: Viewer;
}

/** Opaque tokens, and whose they are. Where they come from in real life: packages/stateless-auth. */
export type Tokens = ReadonlyMap<string, number>;

/** For trying things by hand. */
export const DEMO_TOKENS: Tokens = new Map([
  ['token-of-1', 1],
  ['token-of-2', 2],
]);

/**
 * Reads the field `Authorization: Bearer <token>` [RFC 6750 §2.1].
 * @throws {BlogError} `unauthenticated`, when it is there and not good: to take it for nobody would hide the mistake.
 */
export function readViewer(authorization: string | undefined, tokens: Tokens): Viewer {
  if (authorization === undefined) return undefined;
  const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization) ?? [];
  const userId = token === undefined ? undefined : tokens.get(token);
  if (userId === undefined) throw new BlogError('unauthenticated', 'the token is not known');
  return { userId };
}

/** @throws {BlogError} `unauthenticated`, for nobody in particular. */
export function mustBeSomebody(viewer: Viewer): { readonly userId: number } {
  if (!viewer) throw new BlogError('unauthenticated', 'say who you are');
  return viewer;
}

/** Everybody sees who somebody is; the address they alone. `null` for all others. */
export function visibleEmail(viewer: Viewer, user: { readonly id: number; readonly email: string }): string | null {
  return viewer?.userId === user.id ? user.email : null;
}

/** A draft is its author's alone. In SQL, since what is not to be seen must not count for a page either; the viewer is `$1`. */
export const VISIBLE_POST = '(posts.is_published or posts.author_id = $1)';

/** Whether the viewer may change a post. */
export function mayEdit(viewer: Viewer, post: { readonly authorId: number }): boolean {
  return viewer?.userId === post.authorId;
}
