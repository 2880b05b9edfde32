/**
 * Changes. What a caller can do something about (a conflict, input that makes no sense) is part of the payload and has a type; an
 * entry of `errors` would be a message to parse. What they cannot, a database that is too slow, stays an error.
 *
 * A comment is announced after it is committed (comment-feed.ts): the other way round a subscriber could hear of one that is not
 * there, or never will be.
 */
import { BlogError } from './blog-error.ts';
import { createComment } from './comments.ts';
import { readId, readNewComment, readNewPost, readPostPatch } from './input.ts';
import { createPost, updatePost } from './posts.ts';
import type { OperationContext } from './resolvers.ts';
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
        await context.announce(comment);
        return { comment };
      }),
  },
};
// #endregion

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
