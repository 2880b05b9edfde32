/**
 * The feed in the memory of one process: the same contract as RedisFeed, for a test or a single server.
 *
 * It shows how little the contract needs. What it lacks shows in use: the events end with the process, and a second server
 * behind the same balancer has a feed of its own, with other ids.
 */
import { assertCursor, assertRetained, type Extent, indexAfter, timeOf } from './cursor.ts';
import { decodeData, encodeData } from './encoding.ts';
import {
  type AppendOptions,
  type Feed,
  FeedError,
  type FeedEvent,
  type FollowOptions,
  type Listener,
  NOTHING_SEEN,
  NOW,
  OLDEST,
  REMEMBER_MS,
  type ReadOptions,
} from './feed.ts';
import { Followers, type Page } from './followers.ts';

export interface MemoryFeedOptions {
  /** How many events are kept. Default: 10,000. */
  retain?: number;
  /** How long the name of an event appended `once` is remembered. Default: an hour. */
  rememberMs?: number;
}

export class MemoryFeed<T = unknown> implements Feed<T> {
  #retain: number;
  #rememberMs: number;
  /** The events appended `once`, by name, oldest first. */
  #once = new Map<string, FeedEvent<T>>();
  #events: FeedEvent<T>[] = [];
  #last = NOTHING_SEEN;
  #trimmed = false;
  #closed = false;
  #undispatched: FeedEvent<T>[] = [];
  #dispatching = false;
  #followers: Followers<T>;

  constructor({ retain = 10_000, rememberMs = REMEMBER_MS }: MemoryFeedOptions = {}) {
    this.#retain = retain;
    this.#rememberMs = rememberMs;
    this.#followers = new Followers((after) => this.#page(after), retain);
  }

  get followers(): number {
    return this.#followers.size;
  }

  async append(topic: string, data: T, { once }: AppendOptions = {}): Promise<FeedEvent<T>> {
    this.#assertOpen();
    const first = once !== undefined && this.#remembered(once);
    if (first) return first;
    const id = this.#nextId();
    // Through JSON, as it would go through Redis: followers get the same data here and there, and nobody shares an object.
    const event = { id, topic, at: timeOf(id), data: decodeData<T>(encodeData(data)) };
    this.#events.push(event);
    if (once !== undefined) this.#once.set(once, event);
    this.#last = id;
    if (this.#events.length > this.#retain) {
      this.#events.shift();
      this.#trimmed = true;
    }
    this.#undispatched.push(event);
    this.#dispatch();
    return event;
  }

  async read({ after = OLDEST, limit = 1_000, topic }: ReadOptions = {}): Promise<FeedEvent<T>[]> {
    this.#assertOpen();
    assertCursor(after);
    if (after === NOW) return [];
    const { events } = this.#page(after);
    return (topic === undefined ? events : events.filter((event) => event.topic === topic)).slice(0, limit);
  }

  async follow({ after = NOW, ...options }: FollowOptions, listener: Listener<T>): Promise<void> {
    if (options.signal.aborted) return;
    this.#assertOpen();
    assertCursor(after);
    const cursor = after === NOW ? this.#last : after;
    await this.#followers.follow(cursor, options, listener);
  }

  async position(): Promise<string> {
    this.#assertOpen();
    return this.#last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#followers.endAll(new FeedError('closed', 'the feed was closed'));
  }

  #page(after: string): Page<T> {
    assertRetained(after, this.#extent());
    const from = after === OLDEST ? 0 : indexAfter(this.#events, after);
    return { events: this.#events.slice(from), last: this.#last };
  }

  #remembered(once: string): FeedEvent<T> | undefined {
    for (const [name, { at }] of this.#once) {
      if (Date.now() - at < this.#rememberMs) break;
      this.#once.delete(name);
    }
    return this.#once.get(once);
  }

  #extent(): Extent {
    return { first: this.#events[0]?.id ?? this.#last, last: this.#last, trimmed: this.#trimmed };
  }

  /** As Redis makes them: a clock that stands still or goes back advances the sequence instead. */
  #nextId(): string {
    const now = Date.now();
    const last = timeOf(this.#last);
    return now > last ? `${now}-0` : `${last}-${Number(this.#last.slice(this.#last.indexOf('-') + 1)) + 1}`;
  }

  /** A listener may append: the nested event waits its turn, else others would get it before the one that caused it. */
  #dispatch(): void {
    if (this.#dispatching) return;
    this.#dispatching = true;
    for (let event = this.#undispatched.shift(); event; event = this.#undispatched.shift()) {
      this.#followers.dispatch({ events: [event], last: event.id });
    }
    this.#dispatching = false;
  }

  #assertOpen(): void {
    if (this.#closed) throw new FeedError('closed', 'the feed was closed');
  }
}
