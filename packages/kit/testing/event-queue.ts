/**
 * Collects what a listener or an async iterable produces, so that a test arms its wait before the action: what arrives
 * early waits in the queue, what is late is waited for, and nothing falls between the two.
 */
import { inspect } from 'node:util';

interface Waiter<T> {
  accepts: (item: T) => boolean;
  resolve: (item: T) => void;
  reject: (reason: Error) => void;
}

type Source<T> = AsyncIterable<T> | ((signal: AbortSignal) => AsyncIterable<T>);

export class EventQueue<T> implements AsyncDisposable {
  readonly #items: T[] = [];
  readonly #pending: T[] = [];
  readonly #waiters = new Set<Waiter<T>>();
  #closed: Error | undefined;
  #stop: () => Promise<void> = async () => {};

  /**
   * Consumes `source` in the background until it ends; its error surfaces in the next `next()`. Given as a function, it
   * gets a signal that aborts when the queue is disposed, and disposing waits for its end. A plain iterable is told
   * `return()` and not waited for: a generator that is waiting for its next event would not hear it before that event.
   */
  static from<T>(source: Source<T>): EventQueue<T> {
    const queue = new EventQueue<T>();
    const aborter = new AbortController();
    const iterator = (typeof source === 'function' ? source(aborter.signal) : source)[Symbol.asyncIterator]();
    const consume = async () => {
      try {
        for (let step = await iterator.next(); !step.done; step = await iterator.next()) queue.push(step.value);
        queue.close(new Error('The stream ended'));
      } catch (error) {
        queue.close(error instanceof Error ? error : new Error(String(error)));
      }
    };
    const consumed = consume();
    queue.#stop = async () => {
      aborter.abort();
      const returned = iterator.return?.()?.then(
        () => {},
        () => {},
      );
      if (typeof source === 'function') await Promise.all([consumed, returned]);
    };
    return queue;
  }

  /** Everything received so far, taken or not. */
  get items(): readonly T[] {
    return this.#items;
  }

  push(item: T): void {
    if (this.#closed) return;
    this.#items.push(item);
    for (const waiter of this.#waiters) {
      if (!waiter.accepts(item)) continue;
      this.#waiters.delete(waiter); // now, not when its promise settles: the next item may come in the same tick
      waiter.resolve(item);
      return;
    }
    this.#pending.push(item);
  }

  /** Takes the oldest item that wasn't taken, or the next to come. Rejects after `withinMs` (10 000), or when closed. */
  next(options: { withinMs?: number } = {}): Promise<T> {
    return this.find('next item', () => true, options);
  }

  /** Takes the next `n` items; `withinMs` bounds the wait for all of them. */
  async take(n: number, { withinMs = 10_000 }: { withinMs?: number } = {}): Promise<T[]> {
    const deadline = performance.now() + withinMs;
    const taken: T[] = [];
    while (taken.length < n) {
      const left = Math.max(1, deadline - performance.now());
      taken.push(await this.find(`item ${taken.length + 1} of ${n}`, () => true, { withinMs: left }));
    }
    return taken;
  }

  /** Takes the first item that `accepts` accepts, earlier or later; the others stay. `what` names it in errors. */
  find(what: string, accepts: (item: T) => boolean, { withinMs = 10_000 }: { withinMs?: number } = {}): Promise<T> {
    const found = this.#pending.findIndex(accepts);
    if (found >= 0) return Promise.resolve(this.#pending.splice(found, 1)[0] as T);
    if (this.#closed) return Promise.reject(this.#closed);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter<T> = { accepts, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => {
      const others = inspect(this.#pending.slice(-5), { breakLength: 120 });
      reject(
        new Error(`Not within ${Math.round(withinMs)} ms: ${what} (${this.#items.length} received; left ${others})`),
      );
    }, withinMs);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    });
  }

  /** Takes nothing more in. Whoever waits, or asks for more than is there, gets `reason`. */
  close(reason: Error = new Error('The queue is closed')): void {
    this.#closed ??= reason;
    for (const waiter of this.#waiters) waiter.reject(this.#closed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#stop();
  }
}
