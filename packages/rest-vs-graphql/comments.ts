/** Comments. Whoever may see a post may see and write its comments. Pages as in posts.ts. */
import { BlogError } from './blog-error.ts';
import type { NewComment } from './input.ts';
import type { PageRequest } from './posts.ts';
import { type Context, mustBeSomebody, VISIBLE_POST } from './viewer.ts';

export interface Comment {
  readonly id: number;
  readonly postId: number;
  readonly authorId: number;
  readonly body: string;
  readonly createdAt: Date;
}

const COLUMNS = `comments.id, comments.post_id as "postId", comments.author_id as "authorId", comments.body,
  comments.created_at as "createdAt"`;

/** Those of `ids` that there are for the viewer, in no order. */
export function findComments({ db, viewer }: Context, ids: readonly number[]): Promise<Comment[]> {
  return db.query<Comment>(
    `select ${COLUMNS} from blog.comments join blog.posts on posts.id = comments.post_id
     where ${VISIBLE_POST} and comments.id = any($2)`,
    [viewer?.userId, ids],
  );
}

/** A page of the comments on each of these posts, newest first. */
export function commentsOfPosts(
  { db, viewer }: Context,
  postIds: readonly number[],
  { after, limit }: PageRequest,
): Promise<Comment[]> {
  return db.query<Comment>(
    `select page.* from blog.posts cross join lateral (
       select ${COLUMNS} from blog.comments
       where comments.post_id = posts.id and ($3::int is null or comments.id < $3)
       order by comments.id desc limit $4
     ) page where ${VISIBLE_POST} and posts.id = any($2)`,
    [viewer?.userId, postIds, after, limit],
  );
}

/** @throws {BlogError} `unauthenticated`, or `not-found` when there is no such post for the viewer. */
export async function createComment({ db, viewer }: Context, postId: number, { body }: NewComment): Promise<Comment> {
  const { userId } = mustBeSomebody(viewer);
  const [comment] = await db.query<Comment>(
    `insert into blog.comments (post_id, author_id, body) select posts.id, $1, $3 from blog.posts
     where ${VISIBLE_POST} and posts.id = $2 returning ${COLUMNS}`,
    [userId, postId, body],
  );
  if (!comment) throw new BlogError('not-found', 'there is no such post');
  return comment;
}
