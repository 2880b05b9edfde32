/**
 * One follower: a listener, what waits for it, and its end.
 *
 * A listener that returns nothing costs a function call per event: no queue, no promise. Only one that returns a promise is
 * waited for, and only then are events queued. It ends once: by its signal, its own error, or the feed.
 */
import { FeedError, type FeedEvent, type FollowOptions, type Listener } from './feed.ts';

/** More than a pause of garbage collection or a slow query accumulates; few enough to hold for thousands of followers. */
const MAX_PENDING = 1_000;

export class Follower<T> {
  readonly done: Promise<void>;
  ended = false;
  #listener: Listener<T>;
  #topic: string | undefined;
  #maxPending: number;
  #pending: FeedEvent<T>[] = [];
  #busy = false;
  #settle: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #signalled: Set<{ end(): void }>;
  #onEnd: (follower: Follower<T>) => void;

  constructor(options: FollowOptions, listener: Listener<T>, onEnd: (follower: Follower<T>) => void) {
    this.#listener = listener;
    this.#topic = options.topic;
    this.#maxPending = options.maxPending ?? MAX_PENDING;
    this.#onEnd = onEnd;
    this.done = this.#settle.promise;
    this.#signalled = endedBy(options.signal).add(this);
  }

  /** A live event: never waits, so that one slow listener does not hold up the others. */
  receive(event: FeedEvent<T>): void {
    if (this.#busy) this.#enqueue(event);
    else {
      const busy = this.deliver(event);
      if (busy) void this.#drain(busy);
    }
  }

  /** Calls the listener; returns its promise if it gave one. What it throws ends this follower and no other. */
  deliver(event: FeedEvent<T>): Promise<void> | undefined {
    if (this.ended || (this.#topic !== undefined && event.topic !== this.#topic)) return undefined;
    try {
      const result = this.#listener(event);
      // `(event) => response.write(...)` passes for a listener and returns a boolean: only a promise is waited for.
      return typeof result?.then === 'function' ? result : undefined;
    } catch (error) {
      this.end({ error });
      return undefined;
    }
  }

  /** Ends it: `done` resolves, or rejects with the given error. Only the first call counts. */
  end(failure?: { error: unknown }): void {
    if (this.ended) return;
    this.ended = true;
    this.#pending = [];
    this.#signalled.delete(this);
    this.#onEnd(this);
    if (failure) this.#settle.reject(failure.error);
    else this.#settle.resolve();
  }

  #enqueue(event: FeedEvent<T>): void {
    if (this.ended || (this.#topic !== undefined && event.topic !== this.#topic)) return;
    if (this.#pending.push(event) <= this.#maxPending) return;
    const message = `more than ${this.#maxPending} events were waiting for a follower`;
    this.end({ error: new FeedError('follower-too-slow', message) });
  }

  async #drain(first: Promise<void>): Promise<void> {
    this.#busy = true;
    try {
      await first;
      for (let event = this.#pending.shift(); event; event = this.#pending.shift()) await this.deliver(event);
    } catch (error) {
      this.end({ error });
    }
    this.#busy = false;
  }
}

const bySignal = new WeakMap<AbortSignal, Set<{ end(): void }>>();

/**
 * Whom a signal ends. One listener per signal, because ten thousand on one (a server's shutdown) would warn of a leak in
 * some runtimes, and take seconds in all: an EventTarget walks its list for every listener added or removed.
 */
function endedBy(signal: AbortSignal): Set<{ end(): void }> {
  let followers = bySignal.get(signal);
  if (!followers) {
    const added = new Set<{ end(): void }>();
    const endAll = () => {
      for (const follower of added) follower.end();
    };
    signal.addEventListener('abort', endAll, { once: true });
    bySignal.set(signal, added);
    followers = added;
  }
  return followers;
}
