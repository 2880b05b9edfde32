/**
 * The few connections into which the many streams are folded, and the queue before them.
 *
 * Over HTTP/1.1 a connection carries one request at a time, so `connections` to each backend is also how much each is asked at
 * once. What comes beyond that waits: in a queue that has an end, for a time that has one. Both are answered 503: a queue
 * without bounds is work for clients who have long left.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { Backend, type BackendOptions } from './upstream-backend.ts';

export interface UpstreamOptions extends Partial<BackendOptions> {
  /** Requests that may wait. Two clients' worth of streams. */
  maxQueue?: number;
  /** How long one waits. Longer than a hiccup, and still no longer than a person. */
  queueMs?: number;
  /** Told how long each request has waited, those that did not get through included. */
  onWaited?: (ms: number) => void;
}

const DEFAULTS = {
  connections: 8,
  connectMs: 1_000, // on the same network it takes one
  ejectMs: 1_000,
  probePath: '/live',
  maxQueue: 200,
  queueMs: 5_000,
  onWaited: (_ms: number) => {},
};

/** A place on one of a backend's connections. Disposed when the answer has been read, or the connection is gone. */
export interface Place extends Disposable {
  readonly backend: Backend;
}

interface Waiter {
  readonly except: Backend | undefined;
  readonly take: (place: Place) => void;
}

export class UpstreamPool implements AsyncDisposable {
  readonly backends: readonly Backend[];
  readonly #options: typeof DEFAULTS;
  /** In the order in which they came. */
  readonly #queue = new Set<Waiter>();
  #turn = 0;

  constructor(urls: readonly string[], options: UpstreamOptions = {}) {
    const all = { ...DEFAULTS, ...options };
    this.#options = all;
    this.backends = urls.map((url) => new Backend(url, all));
  }

  get queued(): number {
    return this.#queue.size;
  }

  // #region acquire
  /**
   * A place on a backend other than `except`, if there is another. Whoever leaves the queue early aborts `signal`.
   * @throws {HttpProblem} 503 when the queue is full, or was too slow; what `signal` aborted with.
   */
  async acquire(signal: AbortSignal, except?: Backend): Promise<Place> {
    signal.throwIfAborted();
    const { maxQueue, queueMs, onWaited } = this.#options;
    const backend = this.#leastBusy(except);
    if (backend) {
      onWaited(0);
      return this.#placeOn(backend);
    }
    if (this.#queue.size >= maxQueue) throw tooBusy('too many requests wait for a backend');
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const waiter = { except, take: resolve };
    const leave = (reason: unknown) => {
      this.#queue.delete(waiter); // now: who has left must not be given a place
      reject(reason);
    };
    const onAbort = () => leave(signal.reason);
    const deadline = setTimeout(() => leave(tooBusy(`no backend had time within ${queueMs} ms`)), queueMs);
    const startedAt = performance.now();
    signal.addEventListener('abort', onAbort);
    this.#queue.add(waiter);
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', onAbort);
      onWaited(performance.now() - startedAt);
    }
  }

  /** The one that has the least to do; of several, each in turn. */
  #leastBusy(except: Backend | undefined): Backend | undefined {
    this.#turn++;
    const turned = this.backends.map((_, i) => this.backends[(i + this.#turn) % this.backends.length]!);
    const others = turned.length > 1 ? turned.filter((backend) => backend !== except) : turned;
    const alive = others.filter(({ isEjected }) => !isEjected);
    // When all of them are left out, asking is better than giving up.
    const [least] = (alive.length > 0 ? alive : others).sort((a, b) => a.busy - b.busy);
    return least?.hasRoom ? least : undefined;
  }
  // #endregion

  #placeOn(backend: Backend): Place {
    backend.busy++;
    return {
      backend,
      [Symbol.dispose]: () => {
        backend.busy--;
        this.#serveQueue();
      },
    };
  }

  #serveQueue(): void {
    for (const waiter of this.#queue) {
      const backend = this.#leastBusy(waiter.except);
      if (!backend && !waiter.except) return; // then there is none for those behind it, either
      if (!backend) continue;
      this.#queue.delete(waiter);
      waiter.take(this.#placeOn(backend));
    }
  }

  /** Leaves out a backend that could not be reached, until it answers again. */
  eject(backend: Backend): void {
    backend.eject(() => this.#serveQueue());
  }

  /** Closes every connection: first close the server that asks. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.backends.map((backend) => backend[Symbol.asyncDispose]()));
  }
}

function tooBusy(detail: string): HttpProblem {
  return new HttpProblem(503, { detail, headers: { 'Retry-After': '1' } });
}
