/**
 * The feed in a Redis Stream: any number of server processes serve the same events, and a client resumes at any of them.
 *
 * Each process holds two connections, however many followers it has: one for commands, and one that blocks in XREAD. What
 * surprises: XREAD is only the bell. What it wakes reads the log by the same transaction as everybody else, because an
 * XREAD whose cursor was trimmed meanwhile leaves out events without a word. It ends with its disposal.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { assertCursor } from './cursor.ts';
import {
  type Feed,
  FeedError,
  type FeedEvent,
  type FollowOptions,
  type Listener,
  NOW,
  OLDEST,
  type ReadOptions,
} from './feed.ts';
import { Followers, type Page } from './followers.ts';
import { appendEntry, lastId, PAGE_SIZE, readPage } from './redis-log.ts';

export interface RedisFeedOptions {
  /** redis:// or rediss://, with credentials and database number as needed. */
  url: string;
  /** The Stream's key. Default: 'feed'. */
  key?: string;
  /** How many events are kept. Default: 10,000. */
  retain?: number;
  /** A line to Redis that owes an answer for so long is cut, and made anew. Default: 2 s, far beyond any answer of a Redis that is well. */
  commandTimeoutMs?: number;
  /** How long one XREAD blocks. With commandTimeoutMs it bounds the time until a dead line is noticed. Default: 5 s. */
  blockMs?: number;
  /** Gets what nobody awaits: lost connections, corrupt entries. Default: a process warning. */
  onError?: (error: Error) => void;
}

/** After an error the reader waits so long: Redis may answer at once, with an error, every time. */
const RETRY_MS = 100;

export class RedisFeed<T = unknown> implements Feed<T> {
  #key: string;
  #retain: number;
  #blockMs: number;
  #onError: (error: Error) => void;
  #commands: Redis;
  #reader: Redis;
  #followers: Followers<T>;
  #started: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #closing = new AbortController();

  constructor({
    url,
    key = 'feed',
    retain = 10_000,
    commandTimeoutMs = 2_000,
    blockMs = 5_000,
    onError,
  }: RedisFeedOptions) {
    this.#key = key;
    this.#retain = retain;
    this.#blockMs = blockMs;
    this.#onError = onError ?? ((error) => process.emitWarning(error));
    this.#commands = this.#connection(url, {
      connectionName: `${key}:commands`,
      commandTimeout: commandTimeoutMs,
      socketTimeout: commandTimeoutMs,
    });
    this.#reader = this.#connection(url, {
      connectionName: `${key}:reader`,
      socketTimeout: blockMs + commandTimeoutMs,
    });
    this.#followers = new Followers((after) => this.#page(this.#commands, after), retain);
  }

  get followers(): number {
    return this.#followers.size;
  }

  async append(topic: string, data: T): Promise<FeedEvent<T>> {
    this.#assertOpen();
    return appendEntry(this.#commands, this.#key, this.#retain, topic, data);
  }

  async read({ after = OLDEST, limit = PAGE_SIZE, topic }: ReadOptions = {}): Promise<FeedEvent<T>[]> {
    this.#assertOpen();
    assertCursor(after);
    const found: FeedEvent<T>[] = [];
    if (after === NOW) return found;
    for (let cursor = after; found.length < limit; ) {
      const { events, last } = await this.#page(this.#commands, cursor);
      found.push(...(topic === undefined ? events : events.filter((event) => event.topic === topic)));
      if (last === cursor) break;
      cursor = last;
    }
    return found.slice(0, limit);
  }

  async follow({ after = NOW, ...options }: FollowOptions, listener: Listener<T>): Promise<void> {
    if (options.signal.aborted) return;
    this.#assertOpen();
    assertCursor(after);
    await this.#followers.follow(this.#begin(after), options, listener);
  }

  async position(): Promise<string> {
    this.#assertOpen();
    return lastId(this.#commands, this.#key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#followers.endAll(new FeedError('closed', 'the feed was closed'));
    this.#reader.disconnect();
    this.#commands.disconnect();
    await this.#started?.catch(() => {});
    await this.#reading;
  }

  /** The cursor to follow from. NOW is the moment of this call: the question is sent before what the caller appends next. */
  async #begin(after: string): Promise<string> {
    const cursor = after === NOW ? this.position() : after;
    const [from] = await Promise.all([cursor, this.#startReading()]);
    return from;
  }

  /** Starts the reader with the first follower. When Redis cannot be reached, the next follower tries again. */
  #startReading(): Promise<void> {
    this.#started ??= lastId(this.#commands, this.#key).then(
      (head) => {
        this.#followers.startAt(head);
        this.#reading = this.#keepReading();
      },
      (error) => {
        this.#started = undefined;
        throw error;
      },
    );
    return this.#started;
  }

  async #keepReading(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        const page = await this.#page(this.#reader, this.#followers.head);
        this.#followers.dispatch(page);
        if (page.events.length < PAGE_SIZE) {
          await this.#reader.xread('COUNT', 1, 'BLOCK', this.#blockMs, 'STREAMS', this.#key, this.#followers.head);
        }
      } catch (error) {
        await this.#recover(error as Error);
      }
    }
  }

  async #recover(error: Error): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#onError(error);
    if (error instanceof FeedError && error.code === 'cursor-expired') {
      const head = await lastId(this.#commands, this.#key).catch(() => undefined);
      // Without a pause in between: whoever begins to follow from here on is not ended, and starts from the new head.
      if (head !== undefined) {
        this.#followers.endAll(error);
        this.#followers.startAt(head);
      }
    }
    await pause(RETRY_MS, undefined, { signal: this.#closing.signal }).catch(() => {});
  }

  #page(redis: Redis, after: string): Promise<Page<T>> {
    return readPage(redis, this.#key, after, this.#onError);
  }

  #connection(url: string, options: { connectionName: string; socketTimeout: number; commandTimeout?: number }): Redis {
    const redis = new Redis(url, {
      ...options,
      lazyConnect: true,
      connectTimeout: 2_000,
      // A command whose answer was lost is not sent again: an XADD might be done twice. It fails when its line does.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // Full jitter up to a second: servers that lost the same Redis do not all come back in the same instant.
      retryStrategy: (attempt) => Math.random() * Math.min(50 * 2 ** attempt, 1_000),
    });
    redis.on('error', this.#onError);
    return redis;
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw new FeedError('closed', 'the feed was closed');
  }
}
