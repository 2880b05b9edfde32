/**
 * Changes. What a caller can do something about (a conflict, input that makes no sense) is part of the payload and has a type; an
 * entry of `errors` would be a message to parse. What they cannot, a database that is too slow, stays an error.
 *
 * A comment is published after it is committed: the other way round a subscriber could hear of a comment that is not there, or
 * never will be. What is left: a process that dies between the two has a comment that nobody was told of. Whoever must not
 * lose it writes both in one transaction (an outbox: packages/queues, packages/webhooks).
 */
import { BlogError } from './blog-error.ts';
import { createComment } from './comments.ts';
import { readId, readNewComment, readNewPost, readPostPatch } from './input.ts';
import { createPost, updatePost } from './posts.ts';
import { type CommentAdded, type OperationContext, topicOf } from './resolvers.ts';
import type { Resolvers } from './schema.ts';

interface UpdatePostInput {
  readonly id: string;
  readonly expectedVersion: number;
  readonly [field: string]: unknown;
}

// #region mutations
export const mutationResolvers: Resolvers<OperationContext> = {
  Mutation: {
    createPost: (_root, { input }: { input: unknown }, context) =>
      payload(async () => ({ post: await createPost(context, readNewPost(input)) })),

    updatePost: (_root, { input: { id, expectedVersion, ...patch } }: { input: UpdatePostInput }, context) =>
      payload(async () => ({ post: await updatePost(context, readId(id), readPostPatch(patch), [expectedVersion]) })),

    createComment: (_root, { input: { post, ...input } }: { input: { post: string } }, context) =>
      payload(async () => {
        const comment = await createComment(context, readId(post, 'post'), readNewComment(input));
        await publish(context, { ...comment, createdAt: comment.createdAt.toISOString() });
        return { comment };
      }),
  },
};
// #endregion

/** The comment is committed, whatever becomes of this: its author is not told to write it again. */
async function publish({ feed, log }: OperationContext, comment: CommentAdded): Promise<void> {
  // Under its own name: to try again, one day, would add it once.
  await feed.append(topicOf(comment.postId), comment, { once: `comment:${comment.id}` }).catch((error: unknown) => {
    log.error('a comment was not published', { error, commentId: comment.id });
  });
}

const TYPES = {
  invalid: 'InvalidInput',
  conflict: 'Conflict',
  'not-found': 'NotFound',
  forbidden: 'NotAllowed',
} as const;

async function payload<Payload extends object>(work: () => Promise<Payload>): Promise<object> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BlogError) || !(error.code in TYPES)) throw error;
    const __typename = TYPES[error.code as keyof typeof TYPES];
    return { error: { __typename, message: error.message, fields: error.errors } };
  }
}
