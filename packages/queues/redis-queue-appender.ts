/**
 * The producer's end of a queue in Redis: what is enqueued in one pass of the event loop goes there in one command. Callers that do not
 * wait for each other share a round trip, and each is refused or accepted by itself.
 */
import type { Redis } from 'ioredis';
import { encodeJob, type Job, QueueError } from './job.ts';
import { ENQUEUE, MOST_AT_ONCE, run } from './redis-queue-scripts.ts';

/** Workers that keep up have made room by then. */
const RETRY_AFTER_MS = 1_000;

interface Caller {
  texts: string[];
  delayMs: number;
  accepted: PromiseWithResolvers<void>;
}

export class Appender {
  readonly #redis: Redis;
  readonly #keys: string[];
  readonly #capacity: number;
  #waiting: Caller[] = [];

  constructor(redis: Redis, keys: string[], capacity: number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#capacity = capacity;
  }

  /** Resolves when all of them are there. @throws {QueueError} `full`, `too-large`: none is; `unavailable`: they may be. */
  async append(jobs: readonly Job[], delayMs: number): Promise<void> {
    if (jobs.length === 0) return;
    const accepted = Promise.withResolvers<void>();
    const texts = jobs.map(encodeJob);
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push({ texts, delayMs, accepted });
    await accepted.promise;
  }

  #flush(): void {
    let [batch, size]: [Caller[], number] = [[], 0];
    for (const caller of this.#waiting) {
      if (size > 0 && size + caller.texts.length > MOST_AT_ONCE) {
        void this.#send(batch);
        [batch, size] = [[], 0];
      }
      batch.push(caller);
      size += caller.texts.length;
    }
    this.#waiting = [];
    void this.#send(batch);
  }

  async #send(callers: readonly Caller[]): Promise<void> {
    const args = callers.flatMap(({ texts, delayMs }) => [texts.length, delayMs, ...texts]);
    try {
      const answers = (await run(this.#redis, ENQUEUE, this.#keys, [this.#capacity, ...args])) as number[];
      for (const [i, { accepted }] of callers.entries()) {
        if (answers[i] === 1) accepted.resolve();
        else accepted.reject(full(this.#capacity));
      }
    } catch (error) {
      for (const { accepted } of callers) accepted.reject(error as Error);
    }
  }
}

function full(capacity: number): QueueError {
  return new QueueError('full', `the queue is full: it holds ${capacity} jobs`, { retryAfterMs: RETRY_AFTER_MS });
}
