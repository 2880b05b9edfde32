/**
 * New comments, for who wants to hear of them at once. Whichever server a comment comes in by, it is announced here.
 *
 * That is after it is committed: the other way round a subscriber could hear of a comment that is not there, or never will be.
 * What is left: a process that dies between the two has a comment that nobody was told of. Whoever must not lose it writes both in
 * one transaction (an outbox: packages/queues, packages/webhooks).
 */
import type { Feed } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import type { Comment } from './comments.ts';

/** What the feed carries, under the topic of its post. */
export type CommentAdded = Omit<Comment, 'createdAt'> & { readonly createdAt: string };

/** The topic of a post's comments. */
export const topicOf = (postId: number) => `post:${postId}`;

/** Tells a comment that is committed. It never rejects: the comment is there, and its author must not write it again. */
export type Announce = (comment: Comment) => Promise<void>;

/** Announces on `feed`; without one, to nobody. */
export function announceOn(feed: Feed<CommentAdded> | undefined, log: Log): Announce {
  return async (comment) => {
    const added = { ...comment, createdAt: comment.createdAt.toISOString() };
    try {
      // Under its own name: to try again, one day, would add it once.
      await feed?.append(topicOf(comment.postId), added, { once: `comment:${comment.id}` });
    } catch (error) {
      log.error('a comment was not announced', { error, commentId: comment.id });
    }
  };
}
