/**
 * The feed in a Redis Stream: any number of server processes serve the same events, and a client resumes at any of them.
 *
 * Each process holds two connections, however many followers it has: one for commands, and one that blocks in XREAD for
 * all of them. They connect when first needed. It ends with its disposal.
 */
import type { Redis } from 'ioredis';
import { assertCursor } from './cursor.ts';
import {
  type AppendOptions,
  type Feed,
  FeedError,
  type FeedEvent,
  type FollowOptions,
  type Listener,
  NOW,
  OLDEST,
  REMEMBER_MS,
  type ReadOptions,
} from './feed.ts';
import { Followers, type Page } from './followers.ts';
import { connectRedis } from './redis-connection.ts';
import { appendEntry, lastId, PAGE_SIZE, readPage } from './redis-log.ts';
import { keepReading, type ReaderOptions } from './redis-reader.ts';

export interface RedisFeedOptions {
  /** redis:// or rediss://, with credentials and database number as needed. */
  url: string;
  /** The Stream's key. Default: 'feed'. */
  key?: string;
  /** How many events are kept. Default: 10,000. */
  retain?: number;
  /** How long the name of an event appended `once` is remembered. Default: an hour. */
  rememberMs?: number;
  /** A line to Redis that owes an answer for so long is cut, and made anew. Default: 2 s, far beyond any answer of a Redis that is well. */
  commandTimeoutMs?: number;
  /** How long one XREAD blocks. With commandTimeoutMs it bounds the time until a dead line is noticed. Default: 5 s. */
  blockMs?: number;
  /** Gets what nobody awaits: lost connections, corrupt entries. Default: a process warning. */
  onError?: (error: Error) => void;
}

export class RedisFeed<T = unknown> implements Feed<T> {
  #key: string;
  #retain: number;
  #rememberMs: number;
  #onError: (error: Error) => void;
  #commands: Redis;
  #followers: Followers<T>;
  #reader: ReaderOptions<T>;
  #closing = new AbortController();
  #asked: Promise<string> | undefined;
  #started: Promise<void> | undefined;
  #reading: Promise<void> | undefined;

  constructor(options: RedisFeedOptions) {
    const { url, key = 'feed', retain = 10_000, rememberMs = REMEMBER_MS } = options;
    const { commandTimeoutMs = 2_000, blockMs = 5_000, onError = (error) => process.emitWarning(error) } = options;
    this.#key = key;
    this.#retain = retain;
    this.#rememberMs = rememberMs;
    this.#onError = onError;
    this.#commands = connectRedis(url, {
      name: `${key}:commands`,
      silentMs: commandTimeoutMs,
      commandTimeoutMs,
      onError,
    });
    this.#followers = new Followers((after) => this.#page(after), retain);
    const redis = connectRedis(url, { name: `${key}:reader`, silentMs: blockMs + commandTimeoutMs, onError });
    const { signal } = this.#closing;
    this.#reader = { redis, key, followers: this.#followers, blockMs, onError, signal };
  }

  get followers(): number {
    return this.#followers.size;
  }

  async append(topic: string, data: T, { once }: AppendOptions = {}): Promise<FeedEvent<T>> {
    this.#assertOpen();
    const log = { key: this.#key, retain: this.#retain, rememberMs: this.#rememberMs };
    return appendEntry(this.#commands, log, { topic, data, once });
  }

  async read({ after = OLDEST, limit = PAGE_SIZE, topic }: ReadOptions = {}): Promise<FeedEvent<T>[]> {
    this.#assertOpen();
    assertCursor(after);
    const found: FeedEvent<T>[] = [];
    if (after === NOW) return found;
    for (let cursor = after; found.length < limit; ) {
      const { events, last } = await this.#page(cursor);
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
    this.#reader.redis.disconnect();
    this.#commands.disconnect();
    await this.#started?.catch(() => {});
    await this.#reading;
  }

  /** The cursor to follow from. */
  async #begin(after: string): Promise<string> {
    const [cursor] = await Promise.all([after === NOW ? this.#now() : after, this.#startReading()]);
    return cursor;
  }

  /** The moment of this call: the question is sent before what the caller appends next. Calls of one tick share an answer. */
  #now(): Promise<string> {
    if (!this.#asked) {
      this.#asked = this.position();
      queueMicrotask(() => {
        this.#asked = undefined;
      });
    }
    return this.#asked;
  }

  /** Starts the reader with the first follower. When Redis cannot be reached, the next follower tries again. */
  #startReading(): Promise<void> {
    this.#started ??= lastId(this.#commands, this.#key).then(
      (head) => {
        this.#followers.startAt(head);
        this.#reading = keepReading(this.#reader);
      },
      (error) => {
        this.#started = undefined;
        throw error;
      },
    );
    return this.#started;
  }

  #page(after: string): Promise<Page<T>> {
    return readPage(this.#commands, this.#key, after, this.#onError);
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw new FeedError('closed', 'the feed was closed');
  }
}
