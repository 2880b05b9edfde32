/**
 * The mend for N+1: a resolver asks for one thing, and a loader asks the database for all that were asked for in the same turn of
 * the event loop. Ten posts want ten authors: one statement. So an answer costs one statement per level of its query,
 * whatever the width.
 *
 * A loader remembers what it has loaded, and what it loaded is what its viewer may see. So it lives as long as one
 * request: kept longer, it would show one viewer what another may see, and to everybody what is no longer so.
 */
import DataLoader from 'dataloader';
import { type Comment, commentsOfPosts } from './comments.ts';
import { findPosts, type Post, postsOfUsers } from './posts.ts';
import { findUsers, type User } from './users.ts';
import type { Context } from './viewer.ts';

export interface Loaders {
  readonly user: DataLoader<number, User | undefined>;
  readonly post: DataLoader<number, Post | undefined>;
  /** The first rows of each list, by the id of its parent. Each `limit` has a loader of its own. */
  postsOfUser(limit: number): DataLoader<number, Post[]>;
  commentsOfPost(limit: number): DataLoader<number, Comment[]>;
}

// #region loaders
/** Loaders for one request. */
export function createLoaders(context: Context): Loaders {
  return {
    user: new DataLoader(async (ids) => inOrder(ids, await findUsers(context, ids))),
    post: new DataLoader(async (ids) => inOrder(ids, await findPosts(context, ids))),
    postsOfUser: perLimit((limit) => async (ids) => {
      const posts = Map.groupBy(await postsOfUsers(context, ids, { limit }), ({ authorId }) => authorId);
      return ids.map((id) => posts.get(id) ?? []);
    }),
    commentsOfPost: perLimit((limit) => async (ids) => {
      const comments = Map.groupBy(await commentsOfPosts(context, ids, { limit }), ({ postId }) => postId);
      return ids.map((id) => comments.get(id) ?? []);
    }),
  };
}
// #endregion

/** A loader wants as many values as it gave keys, in their order; SQL promises neither. */
function inOrder<Row extends { readonly id: number }>(ids: readonly number[], rows: readonly Row[]) {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => byId.get(id));
}

function perLimit<Row>(batch: (limit: number) => DataLoader.BatchLoadFn<number, Row[]>) {
  const loaders = new Map<number, DataLoader<number, Row[]>>();
  return (limit: number) => {
    const loader = loaders.get(limit) ?? new DataLoader(batch(limit));
    loaders.set(limit, loader);
    return loader;
  };
}
