/** What the newsroom publishes, and how whoever gets one makes sure that it is one. */
import type { FeedEvent } from '@patterns/feed/feed';
import type { FieldError } from '@patterns/kit/problem';
import { positionOf } from './log.ts';
import { type Envelope, PubSubError } from './protocol.ts';

export interface News {
  readonly title: string;
  readonly content: string;
}

/** What is wrong with it, field by field; nothing if it is a story. */
export function complaintsAbout(news: unknown): FieldError[] {
  const { title, content } = (typeof news === 'object' && news !== null ? news : {}) as Partial<News>;
  const complaints: FieldError[] = [];
  if (typeof title !== 'string' || title.length === 0 || title.length > 200) {
    complaints.push({ field: '/title', expected: 'a text of 1 to 200 characters' });
  }
  if (typeof content !== 'string') complaints.push({ field: '/content', expected: 'a text' });
  return complaints;
}

/** The story in a numbered message. @throws {PubSubError} `malformed-message`. */
export function readNews({ seq, channel, at, data }: Envelope): FeedEvent<News> {
  const [complaint] = complaintsAbout(data);
  if (complaint || seq === undefined) {
    throw new PubSubError('malformed-message', `not a story: expected ${complaint?.expected ?? 'a number'}`);
  }
  return { id: positionOf(seq), topic: channel, at, data: data as News };
}
