/**
 * What the server knows without asking: the latest events, and the latest status of each order. One follower of the feed
 * keeps it up to date, so that a thousand clients which ask every second cost the feed nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { compareIds, indexAfter } from '@patterns/feed/cursor';
import { type Feed, FeedError, type FeedEvent, OLDEST } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import type { Change, Order } from './protocol.ts';

/** Events in memory: what a busy feed brings between two polls of a slow client. Who is further behind is read from the feed. */
const RECENT = 1_000;
/** Orders in memory, the least recently changed goes first: there is no table of orders here to ask for older ones. */
const MAX_ORDERS = 10_000;
/** Between two attempts to follow the feed, after it was lost. */
const RETRY_MS = 500;

export class Board {
  #recent: FeedEvent<Change>[] = [];
  #orders = new Map<string, Order>();
  #head: string | undefined;

  /** Reads what the feed retains, then follows it until `signal` aborts. @throws {FeedError} when it cannot be read. */
  static async open(feed: Feed<Change>, signal: AbortSignal, log: Log): Promise<Board> {
    const board = new Board();
    await board.#load(feed);
    void board.#follow(feed, signal, log);
    return board;
  }

  order(id: string): Order | undefined {
    return this.#orders.get(id);
  }

  /** The id of the latest event; undefined while that is to be found out anew. */
  get head(): string | undefined {
    return this.#head;
  }

  // #region since
  /** At most `limit` events after a cursor; undefined when only the feed can tell what comes after it. */
  since(after: string, limit: number): FeedEvent<Change>[] | undefined {
    if (after === this.#head) return [];
    const oldest = this.#recent[0];
    if (!this.#head || !oldest || compareIds(after, oldest.id) < 0 || compareIds(after, this.#head) > 0)
      return undefined;
    const from = indexAfter(this.#recent, after);
    return this.#recent.slice(from, from + limit);
  }
  // #endregion

  async #load(feed: Feed<Change>): Promise<void> {
    const position = await feed.position();
    let cursor = OLDEST;
    for (let page = await feed.read(); page.length > 0; page = await feed.read({ after: cursor })) {
      for (const event of page) this.#take(event);
      cursor = page.at(-1)!.id;
    }
    this.#head ??= position; // a feed without events has a position as well
  }

  async #follow(feed: Feed<Change>, signal: AbortSignal, log: Log): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#head === undefined) await this.#load(feed);
        await feed.follow({ after: this.#head!, signal }, (event) => this.#take(event));
      } catch (error) {
        if (error instanceof FeedError && error.code === 'closed') return; // the process ends
        log.error('no longer follows the feed, and tries again', { error });
        if (error instanceof FeedError && error.code === 'cursor-expired') {
          // It came back without its data, or has moved on by more than it retains: what we have does not join up with it.
          this.#head = undefined;
          this.#recent = [];
        }
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  #take(event: FeedEvent<Change>): void {
    const { id, topic, at, data } = event;
    this.#recent.push(event);
    // Cut at twice the size, because cutting at each event would copy the list each time.
    if (this.#recent.length > 2 * RECENT) this.#recent.splice(0, RECENT);
    this.#orders.delete(topic); // so that it goes to the end of the line
    this.#orders.set(topic, { id: topic, status: data.status, version: data.version, at });
    if (this.#orders.size > MAX_ORDERS) this.#orders.delete(this.#orders.keys().next().value!);
    this.#head = id;
  }
}
