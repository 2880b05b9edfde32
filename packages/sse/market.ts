/**
 * Knows when the market has closed, so that a server can tell a client that has seen everything to stop asking.
 * Without it an EventSource would reconnect to a finished stream for ever.
 */
import { compareIds } from '@patterns/feed/cursor';
import { type Feed, FeedError, type FeedEvent } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import { MARKET, type Quote } from './protocol.ts';

/** Follows the market's own topic until `signal` aborts. The function says whether a client has nothing more to expect. */
export async function watchMarket(feed: Feed<Quote>, signal: AbortSignal, log: Log) {
  let closedAt: string | undefined;
  const learn = (event: FeedEvent<Quote>) => {
    if (event.data.type === 'closed') closedAt = event.id;
  };
  // The position first, then the past, then what comes after the position: between the three nothing can slip through.
  const position = await feed.position();
  for (const event of await feed.read({ topic: MARKET })) learn(event);
  feed.follow({ after: position, topic: MARKET, signal }, learn).catch((error) => {
    const isOver = error instanceof FeedError && error.code === 'closed'; // the process ends
    if (!isOver) log.error('no longer knows when the market closes', { error });
  });

  return (after: string | undefined) =>
    closedAt !== undefined && (after === undefined || compareIds(after, closedAt) >= 0);
}
