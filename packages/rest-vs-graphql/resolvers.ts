/**
 * From fields to the blog's functions: the same ones that REST calls, so that a rule is written once.
 *
 * Who may see a field is asked where the field is, not at the door: a user is reached by a dozen ways through the graph
 * (`viewer`, `post.author`, `comment.author`, ...), and a check at each way would be forgotten at one.
 */
import type { Announce, CommentAdded } from './comment-feed.ts';
import { type Comment, commentsOfPosts } from './comments.ts';
import type { Deadline } from './deadline.ts';
import { encodeCursor, readCursor, readId } from './input.ts';
import type { Loaders } from './loaders.ts';
import { listPosts, type Post, postsOfUsers } from './posts.ts';
import type { Resolvers } from './schema.ts';
import type { User } from './users.ts';
import { type Context, visibleEmail } from './viewer.ts';

/** What every resolver of an operation is given. */
export type OperationContext = Pick<Context, keyof Context> & {
  readonly loaders: Loaders;
  readonly deadline: Deadline;
  /** Whose budget it is (rate-limit.ts). */
  readonly client: string;
  /** Tells the subscribers of a new comment. */
  readonly announce: Announce;
};

interface PageArguments {
  readonly first: number;
  readonly after?: string | null;
}

// #region resolvers
export const queryResolvers: Resolvers<OperationContext> = {
  Query: {
    viewer: (_root, _none, { viewer, loaders }) => (viewer ? loaders.user.load(viewer.userId) : null),
    user: (_root, { id }: { id: string }, { loaders }) => loaders.user.load(readId(id)),
    post: (_root, { id }: { id: string }, { loaders }) => loaders.post.load(readId(id)),
    async posts(_root, { author, first, after }: PageArguments & { author?: string | null }, context) {
      const request = { after: readAfter('post', after), limit: first + 1 };
      const posts = author
        ? await postsOfUsers(context, [readId(author, 'author')], request)
        : await listPosts(context, request);
      return page('post', posts, first);
    },
    async comments(_root, { post, first, after }: PageArguments & { post: string }, context) {
      const request = { after: readAfter('comment', after), limit: first + 1 };
      return page('comment', await commentsOfPosts(context, [readId(post, 'post')], request), first);
    },
  },
  User: {
    email: (user: User, _none, { viewer }) => visibleEmail(viewer, user),
    createdAt: (user: User) => user.createdAt.toISOString(),
    posts: async (user: User, { first }: PageArguments, { loaders }) =>
      page('post', await loaders.postsOfUser(first + 1).load(user.id), first),
  },
  Post: {
    createdAt: (post: Post) => post.createdAt.toISOString(),
    author: (post: Post, _none, { loaders }) => loaders.user.load(post.authorId),
    comments: async (post: Post, { first }: PageArguments, { loaders }) =>
      page('comment', await loaders.commentsOfPost(first + 1).load(post.id), first),
  },
  Comment: {
    createdAt: (comment: Comment | CommentAdded) => new Date(comment.createdAt).toISOString(),
    author: (comment: Comment, _none, { loaders }) => loaders.user.load(comment.authorId),
  },
};
// #endregion

/** One row more than was asked for tells that there is a next page, without counting them all. */
function page<Row extends { readonly id: number }>(kind: 'post' | 'comment', rows: readonly Row[], first: number) {
  const nodes = rows.slice(0, first);
  const last = nodes.at(-1);
  return {
    nodes,
    pageInfo: { endCursor: last ? encodeCursor(kind, last.id) : null, hasNextPage: rows.length > first },
  };
}

function readAfter(kind: 'post' | 'comment', after: string | null | undefined): number | undefined {
  return after === null || after === undefined ? undefined : readCursor(kind, after);
}
