/**
 * The end of the feed, in the memory of this process: the latest updates, and the place up to which they go.
 *
 * One `feed.follow` for the whole process brings whatever any process appends. So a client that is up to date, as nearly all
 * are, is checked and parked in one synchronous step, in which nothing can happen: between its look and its wait there is no
 * gap, and neither costs a question to Redis. It ends with its signal.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { compareIds, indexAfter } from '@patterns/feed/cursor';
import { type Feed, FeedError } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import type { Notice, Update } from './protocol.ts';

/** So many of the latest updates are kept: what comes while a client is between two polls, many times over. */
const RECENT = 1_000;

/** Redis comes back in seconds, or it takes minutes: one look a second finds the first and does not mind the second. */
const RETRY_MS = 1_000;

export interface TailOptions {
  feed: Feed<Notice>;
  log: Log;
  signal: AbortSignal;
  /** Gets what came in one pass of the event loop, in one call, and when the first of it came (`performance.now()`). */
  onNews: (fresh: readonly Update[], since: number) => void;
  /** Some updates may have passed by unseen. Whoever waits must look at the log again. */
  onGap: () => void;
}

export class Tail {
  /** The last update that came by here. */
  head: string;
  /** What came after this one is in `recent`. */
  #floor: string;
  #recent: Update[] = [];
  #fresh: Update[] = [];
  #freshSince = 0;
  readonly #options: TailOptions;

  /** Resolves when nothing that is appended from now on can pass by unseen. Rejects with FeedError. */
  static async open(options: TailOptions): Promise<Tail> {
    const tail = new Tail(options, await options.feed.position());
    void tail.#keepFollowing();
    return tail;
  }

  private constructor(options: TailOptions, head: string) {
    this.#options = options;
    this.head = head;
    this.#floor = head;
  }

  // #region after
  /** The updates after a cursor, or undefined when only the log can tell. */
  after(cursor: string): readonly Update[] | undefined {
    if (cursor === this.head) return NONE;
    const oldest = this.#recent[0];
    if (cursor !== this.#floor && (!oldest || compareIds(cursor, oldest.id) < 0)) return undefined; // older than memory
    if (compareIds(cursor, this.head) > 0) return undefined; // ahead: it comes from another server, or is made up
    return this.#recent.slice(indexAfter(this.#recent, cursor));
  }
  // #endregion

  /** The updates in memory that have this topic. */
  ofTopic(topic: string): readonly Update[] {
    return this.#recent.filter((update) => update.topic === topic);
  }

  // #region news
  readonly #add = (update: Update): void => {
    this.#recent.push(update);
    this.head = update.id;
    // Cut at twice the size, because cutting at each update would copy the list each time.
    if (this.#recent.length >= 2 * RECENT) this.#floor = this.#recent.splice(0, RECENT).at(-1)!.id;
    // A burst wakes its waiters once, and not for its first update alone.
    if (this.#fresh.push(update) > 1) return;
    this.#freshSince = performance.now();
    setImmediate(this.#tell);
  };

  readonly #tell = (): void => {
    const fresh = this.#fresh;
    this.#fresh = [];
    this.#options.onNews(fresh, this.#freshSince);
  };
  // #endregion

  async #keepFollowing(): Promise<void> {
    const { feed, log, signal, onGap } = this.#options;
    while (!signal.aborted) {
      try {
        await feed.follow({ after: this.head, signal }, this.#add);
      } catch (error) {
        const code = error instanceof FeedError ? error.code : undefined;
        if (code === 'closed') return; // the process ends
        log.warn('lost the end of the feed', { error });
        // The feed was replaced, or went on too far without us: what we have no longer leads up to its end.
        if (code === 'cursor-expired') await this.#startAnew(onGap).catch(() => {});
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #startAnew(onGap: () => void): Promise<void> {
    this.head = await this.#options.feed.position();
    this.#floor = this.head;
    this.#recent = [];
    onGap();
  }
}

const NONE: readonly Update[] = [];
