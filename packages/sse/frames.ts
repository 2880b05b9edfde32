/** Each event is encoded once, however many streams it goes to: the feed hands the same object to every follower. */
import type { FeedEvent } from '@patterns/feed/feed';
import { encodeQuote, type Quote } from './protocol.ts';

const frames = new WeakMap<FeedEvent<Quote>, string>();

/** The event as it goes over the wire; kept for as long as anybody has the event. */
export function frameOf(event: FeedEvent<Quote>): string {
  let frame = frames.get(event);
  if (frame === undefined) {
    frame = encodeQuote(event);
    frames.set(event, frame);
  }
  return frame;
}
