/**
 * Posts. Each function takes many keys and sends one statement: GraphQL's loaders need that, and REST asks for one.
 *
 * Pages go from new to old by a keyset (`id < after`), not by an offset: what is written meanwhile comes in front, and moves nothing
 * that is still to come. And page 100 costs as little as page 1.
 */
import { BlogError } from './blog-error.ts';
import type { NewPost, PostPatch } from './input.ts';
import { type Context, mayEdit, mustBeSomebody, VISIBLE_POST } from './viewer.ts';

export interface Post {
  readonly id: number;
  readonly authorId: number;
  readonly title: string;
  readonly body: string;
  readonly isPublished: boolean;
  readonly version: number;
  readonly createdAt: Date;
  readonly commentCount: number;
}

/** `after`: the id of the last row that the caller has; `limit`: rows at most. */
export interface PageRequest {
  readonly after?: number | undefined;
  readonly limit: number;
}

const COLUMNS = `posts.id, posts.author_id as "authorId", posts.title, posts.body, posts.is_published as "isPublished",
  posts.version, posts.created_at as "createdAt",
  (select count(*)::int from blog.comments where comments.post_id = posts.id) as "commentCount"`;

/** Those of `ids` that there are for the viewer, in no order. */
export function findPosts({ db, viewer }: Context, ids: readonly number[]): Promise<Post[]> {
  return db.query<Post>(`select ${COLUMNS} from blog.posts where ${VISIBLE_POST} and posts.id = any($2)`, [
    viewer?.userId,
    ids,
  ]);
}

/** A page of everybody's posts, newest first. */
export function listPosts({ db, viewer }: Context, { after, limit }: PageRequest): Promise<Post[]> {
  return db.query<Post>(
    `select ${COLUMNS} from blog.posts where ${VISIBLE_POST} and ($2::int is null or posts.id < $2)
     order by posts.id desc limit $3`,
    [viewer?.userId, after, limit],
  );
}

// #region lateral
/** A page of the posts of each of these users, newest first. */
export function postsOfUsers(
  { db, viewer }: Context,
  userIds: readonly number[],
  { after, limit }: PageRequest,
): Promise<Post[]> {
  return db.query<Post>(
    `select page.* from unnest($2::int[]) as author(id) cross join lateral (
       select ${COLUMNS} from blog.posts
       where ${VISIBLE_POST} and posts.author_id = author.id and ($3::int is null or posts.id < $3)
       order by posts.id desc limit $4
     ) page`,
    [viewer?.userId, userIds, after, limit],
  );
}
// #endregion

/** @throws {BlogError} `unauthenticated`. */
export async function createPost({ db, viewer }: Context, { title, body, isPublished }: NewPost): Promise<Post> {
  const { userId } = mustBeSomebody(viewer);
  const [post] = await db.query<Post>(
    `insert into blog.posts (author_id, title, body, is_published) values ($1, $2, $3, $4) returning ${COLUMNS}`,
    [userId, title, body, isPublished],
  );
  return post!;
}

// #region update
/**
 * Changes a post if it still has a version that the caller has seen. The comparison and the change are one statement: of two
 * who do this at once, the second waits for the first, looks again, and finds another version.
 * @throws {BlogError} `unauthenticated`, `not-found`, `forbidden`, or `conflict` when it has another version.
 */
export async function updatePost(
  context: Context,
  id: number,
  { title, body, isPublished }: PostPatch,
  expectedVersions: readonly number[],
): Promise<Post> {
  const { userId } = mustBeSomebody(context.viewer);
  const [updated] = await context.db.query<Post>(
    `update blog.posts set version = version + 1, title = coalesce($4, title), body = coalesce($5, body),
       is_published = coalesce($6, is_published)
     where id = $1 and version = any($2) and author_id = $3 returning ${COLUMNS}`,
    [id, expectedVersions, userId, title, body, isPublished],
  );
  if (updated) return updated;
  const [post] = await findPosts(context, [id]); // only now: who is right is not made to pay for it
  if (!post) throw new BlogError('not-found', 'there is no such post');
  if (!mayEdit(context.viewer, post)) throw new BlogError('forbidden', 'only its author may change a post');
  throw new BlogError('conflict', `the post has version ${post.version} by now`);
}
// #endregion
