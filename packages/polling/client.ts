/**
 * Follows orders by asking, as an async iterable: `subscribe` hears of every change, `followOrder` watches one order.
 *
 * All that a client keeps is a cursor and a tag. It ends when an order is over, when `signal` aborts, and with an error when
 * asking again cannot help. When to ask is in poller.ts and interval.ts.
 */
import type { FeedEvent } from '@patterns/feed/feed';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { type Answer, PollingError } from './ask.ts';
import { Poller, type PollOptions } from './poller.ts';
import { type Change, decodeOrder, decodeUpdates, isOver, ORDERS_PATH, type Order, UPDATES_PATH } from './protocol.ts';

export interface SubscribeOptions extends PollOptions {
  /** The id of the last event already seen. Without it: what comes from now on. */
  after?: string | undefined;
  /** Most events in one answer. */
  limit?: number;
  /** Told when the cursor had expired: changes are lost for good, and what is shown must be read anew. Without it: an error. */
  onExpired?: (message: string) => void;
}

// #region subscribe
/**
 * Yields every change after the cursor, in order, each once.
 * @throws {PollingError} when the server refuses for good, cannot be reached for too long, or the cursor has expired.
 */
export async function* subscribe(
  url: string,
  { after, limit = 100, onExpired, ...options }: SubscribeOptions = {},
): AsyncGenerator<FeedEvent<Change>> {
  const poller = new Poller(options);
  let expired: string | undefined;
  for (let cursor = after; ; ) {
    const target = new URL(`${UPDATES_PATH}?limit=${limit}${cursor ? `&after=${cursor}` : ''}`, url);
    try {
      const answer = await poller.poll(target.href);
      if (!answer) return;
      if (answer.status === 304) continue;
      const { events, hasMore, ...updates } = decode(answer, decodeUpdates);
      // The new cursor first, and then whatever is read anew: what changes between the two comes with the next poll.
      if (expired) onExpired?.(expired);
      expired = undefined;
      cursor = updates.cursor;
      if (events.length > 0) poller.found(hasMore ? 'more' : 'news');
      yield* events;
    } catch (error) {
      if (!onExpired || !(error instanceof PollingError) || error.code !== 'cursor-expired') throw error;
      expired = error.message;
      cursor = undefined;
      poller.startAnew();
    }
  }
}
// #endregion

// #region order
/**
 * Yields the state of an order whenever it has changed, and ends when nothing more will come of it.
 * @throws {PollingError} when there is no such order, or the server cannot be reached for too long.
 */
export async function* followOrder(url: string, id: string, options: PollOptions = {}): AsyncGenerator<Order> {
  const poller = new Poller(options);
  const target = new URL(`${ORDERS_PATH}/${encodeURIComponent(id)}`, url);
  let version = 0;
  for (let answer = await poller.poll(target.href); answer; answer = await poller.poll(target.href)) {
    if (answer.status === 304) continue;
    const order = decode(answer, decodeOrder);
    // Another server, which is a moment behind, may answer with what we have seen already; so may one that asks for another interval.
    if (order.version <= version) continue;
    version = order.version;
    poller.found('news');
    yield order;
    if (isOver(order)) return;
  }
}
// #endregion

function decode<T>({ body }: Answer, read: (body: string) => T): T {
  try {
    return read(body);
  } catch (error) {
    throw new PollingError('malformed-answer', `not understood: ${body.slice(0, 80)}`, { cause: error });
  }
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, id] = process.argv.slice(2);
    if (!url) return console.log('usage: node client.ts <url of a server> [order]   (start one with: node server.ts)');
    const minMs = envInteger('MIN_MS', 2_000, { min: 1 });
    const options = { signal, minMs, maxMs: Math.max(minMs, envInteger('MAX_MS', 30_000, { min: 1 })) };
    const print = (order: string, { status, version }: Change, at: number) =>
      console.log(`order ${order}  version ${version}  ${status}  ${Date.now() - at} ms`);
    if (id) {
      for await (const order of followOrder(url, id, options)) print(id, order, order.at);
      return;
    }
    const onExpired = () => console.log('the cursor has expired: changes were lost');
    for await (const { topic, data, at } of subscribe(url, { ...options, after: process.env.AFTER, onExpired })) {
      print(topic, data, at);
    }
  });
}
