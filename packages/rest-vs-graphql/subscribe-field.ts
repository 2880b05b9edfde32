/**
 * Where the events of a subscription come from: the feed, as the asynchronous iterable that GraphQL wants.
 */
import type { Feed, FeedEvent, FollowOptions } from '@patterns/feed/feed';
import type { GraphQLFieldResolver } from 'graphql';
import { BlogError } from './blog-error.ts';
import { type CommentAdded, topicOf } from './comment-feed.ts';
import { readId } from './input.ts';
import type { OperationContext } from './resolvers.ts';

export type SubscriptionContext = OperationContext & {
  readonly follow: (topic: string) => AsyncIterable<FeedEvent<CommentAdded>>;
};

/** `commentAdded(post:)`. Whoever may not see the post hears nothing of its comments. */
export const subscribeField: GraphQLFieldResolver<unknown, SubscriptionContext, { post: string }> = async (
  _root,
  { post },
  { loaders, follow },
) => {
  const found = await loaders.post.load(readId(post, 'post'));
  if (!found) throw new BlogError('not-found', 'there is no such post');
  return follow(topicOf(found.id));
};

/**
 * The events of a feed, one at a time: the next is taken when the last has been dealt with, so that what waits for a slow reader
 * waits in the feed, where it is bounded. `onError` is told when the feed gives the reader up.
 */
export function followFeed<T>(
  feed: Feed<T>,
  options: FollowOptions,
  onError: (error: unknown) => void,
): AsyncIterable<FeedEvent<T>> {
  const { readable, writable } = new TransformStream<FeedEvent<T>, FeedEvent<T>>();
  const writer = writable.getWriter();
  feed
    .follow(options, (event) => writer.write(event))
    .then(() => writer.close())
    .catch((error) => {
      onError(error);
      writer.abort(error).catch(() => {});
    });
  return readable;
}
