/**
 * The few connections into which the many streams are folded, and the queue before them.
 *
 * Over HTTP/1.1 a connection carries one request at a time, so `connections` to each backend is also how much each is asked at
 * once. What comes beyond that waits: in a queue that has an end, for a time that has one. Both are answered 503: a queue
 * without bounds is work for clients who have long left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { HttpProblem } from '@patterns/kit/problem';
import { buildConnector, Pool } from 'undici';

export interface UpstreamOptions {
  /** To each backend, at most. */
  connections?: number;
  /** Requests that may wait. Two clients' worth of streams. */
  maxQueue?: number;
  /** How long one waits. Longer than a hiccup, and still no longer than a person. */
  queueMs?: number;
  /** A backend on the same network answers a SYN within a millisecond. */
  connectMs?: number;
  /** How long a backend that could not be reached is left alone before it is asked whether it is back. */
  ejectMs?: number;
  /** What it is asked then; any answer will do. */
  probePath?: string;
  /** Told how long each request has waited, those that did not get through included. */
  onWaited?: (ms: number) => void;
}

export interface Backend {
  readonly url: string;
  readonly pool: Pool;
  /** Requests that hold a connection. */
  busy: number;
  /** Open now. */
  sockets: number;
  isEjected: boolean;
}

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
  readonly #options: Required<UpstreamOptions>;
  /** In the order in which they came. */
  readonly #queue = new Set<Waiter>();
  readonly #closed = new AbortController();
  #turn = 0;

  constructor(urls: readonly string[], options: UpstreamOptions = {}) {
    const defaults = { connections: 8, maxQueue: 200, queueMs: 2_000, connectMs: 1_000, ejectMs: 1_000 };
    this.#options = { ...defaults, probePath: '/live', onWaited: () => {}, ...options };
    this.backends = urls.map((url) => this.#open(url));
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
    const backend = this.#leastBusy(except);
    if (backend) {
      this.#options.onWaited(0);
      return this.#placeOn(backend);
    }
    if (this.#queue.size >= this.#options.maxQueue) throw tooBusy('too many requests wait for a backend');
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const waiter = { except, take: resolve };
    const leave = (reason: unknown) => {
      this.#queue.delete(waiter); // now: whoever has left must not be given a place
      reject(reason);
    };
    const onAbort = () => leave(signal.reason);
    const startedAt = performance.now();
    const { queueMs } = this.#options;
    const deadline = setTimeout(() => leave(tooBusy(`no backend had time within ${queueMs} ms`)), queueMs);
    signal.addEventListener('abort', onAbort);
    this.#queue.add(waiter);
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', onAbort);
      this.#options.onWaited(performance.now() - startedAt);
    }
  }

  /** The one that has the least to do; of several, each in turn. */
  #leastBusy(except: Backend | undefined): Backend | undefined {
    this.#turn++;
    const turned = this.backends.map((_, i) => this.backends[(i + this.#turn) % this.backends.length]!);
    const others = turned.length > 1 ? turned.filter((backend) => backend !== except) : turned;
    // If all of them were ejected, it is better to ask than to know.
    const alive = others.some((backend) => !backend.isEjected)
      ? others.filter((backend) => !backend.isEjected)
      : others;
    const [least] = alive.sort((a, b) => a.busy - b.busy);
    return least && least.busy < this.#options.connections ? least : undefined;
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
      if (!backend) continue;
      this.#queue.delete(waiter);
      waiter.take(this.#placeOn(backend));
    }
  }

  #open(url: string): Backend {
    const { connections, connectMs } = this.#options;
    const connect = buildConnector({ timeout: connectMs });
    const counted: typeof connect = (options, callback) =>
      connect(options, (...result) => {
        if (result[1]) {
          backend.sockets++;
          result[1].once('close', () => backend.sockets--);
        }
        callback(...result);
      });
    const pool = new Pool(url, { connections, pipelining: 1, connect: counted });
    const backend: Backend = { url, pool, busy: 0, sockets: 0, isEjected: false };
    return backend;
  }

  // #region eject
  /** Leaves a backend out that could not be reached, until it answers a question that costs nobody anything. */
  eject(backend: Backend): void {
    if (backend.isEjected) return;
    backend.isEjected = true;
    this.#probe(backend).catch(() => {}); // the pool was closed
  }

  async #probe(backend: Backend): Promise<void> {
    const { ejectMs, probePath: path } = this.#options;
    const { signal } = this.#closed;
    while (backend.isEjected) {
      await delay(ejectMs, undefined, { signal });
      const asked = backend.pool.request({ method: 'GET', path, headersTimeout: ejectMs, signal });
      const answer = await asked.catch(() => undefined);
      await answer?.body.dump();
      backend.isEjected = !answer;
    }
    this.#serveQueue();
  }
  // #endregion

  /** Closes every connection, without regard to what is on it: first close the server that asks. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await Promise.all(this.backends.map(({ pool }) => pool.destroy()));
  }
}

function tooBusy(detail: string): HttpProblem {
  return new HttpProblem(503, { detail, headers: { 'Retry-After': '1' } });
}
