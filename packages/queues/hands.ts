/**
 * What a worker has in its hands, from the moment it is taken until the broker knows what became of it.
 *
 * One timer keeps all the leases, and what ends in one pass of the event loop is settled in one call: a timer and a round trip for each
 * job would cost more than many a job. A lease that is lost is never settled; its handler is told.
 */
import { Attempt } from './attempt.ts';
import type { Delivery, Outcome, Queue } from './queue.ts';

export interface HandsOptions {
  leaseMs: number;
  /** What became of a job, once the broker knows; `lost`: its lease was over, and somebody else has it. */
  onSettled: (attempt: Attempt, as: Outcome['as'] | 'lost') => void;
  onProblem: (problem: Error) => void;
}

/** After a settling that the broker did not answer: it is well again in a moment, or it is not. */
const RETRY_MS = 200;

export class Hands implements Disposable {
  readonly #queue: Queue;
  readonly #options: HandsOptions;
  readonly #held = new Map<Delivery, Attempt>();
  #ended: Attempt[] = [];
  #retry: NodeJS.Timeout | undefined;
  readonly #heartbeat: NodeJS.Timeout;
  #changed: PromiseWithResolvers<void> | undefined;

  constructor(queue: Queue, options: HandsOptions) {
    this.#queue = queue;
    this.#options = options;
    // Two beats may be missed.
    this.#heartbeat = setInterval(() => void this.#beat(), options.leaseMs / 3);
  }

  /** Jobs of which the broker does not know yet what became of them. */
  get size(): number {
    return this.#held.size;
  }

  hold(delivery: Delivery): Attempt {
    const attempt = new Attempt(delivery, this.#options.leaseMs);
    this.#held.set(delivery, attempt);
    return attempt;
  }

  /** @returns those that have not ended. */
  working(): Attempt[] {
    return [...this.#held.values()].filter(({ outcome }) => outcome === undefined);
  }

  // #region settle
  /** To be settled with all that end in this pass of the event loop. Of an attempt that has ended or is lost nothing more is said. */
  end(attempt: Attempt, outcome: Outcome): void {
    if (attempt.outcome || !this.#held.has(attempt.delivery)) return;
    attempt.outcome = outcome;
    if (this.#ended.push(attempt) === 1) setImmediate(() => void this.#settle());
  }

  async #settle(): Promise<void> {
    const ended = this.#ended.filter(({ delivery }) => this.#held.has(delivery)); // while it waited, it may have been lost
    this.#ended = [];
    if (ended.length === 0) return;
    for (const attempt of ended) attempt.isSettling = true;
    try {
      const lost = await this.#queue.settle(ended.map(({ outcome }) => outcome as Outcome));
      for (const delivery of lost) this.#lose(delivery);
      for (const attempt of ended) this.#letGo(attempt, (attempt.outcome as Outcome).as);
    } catch (error) {
      // Not known, and so said again, as long as the lease is ours. Had it been done, it is told as lost the second time.
      this.#options.onProblem(error as Error);
      for (const attempt of ended) attempt.isSettling = false;
      this.#ended.push(...ended);
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        void this.#settle();
      }, RETRY_MS);
    }
  }
  // #endregion

  // #region heartbeat
  async #beat(): Promise<void> {
    const { leaseMs, onProblem } = this.#options;
    const now = performance.now();
    // Most jobs are done before their first beat.
    const old = [...this.#held.values()].filter(({ leasedUntil }) => leasedUntil - now < (leaseMs * 2) / 3);
    if (old.length === 0) return;
    try {
      const lost = new Set(
        await this.#queue.extend(
          old.map(({ delivery }) => delivery),
          leaseMs,
        ),
      );
      for (const attempt of old) {
        if (!lost.has(attempt.delivery)) attempt.leasedUntil = now + leaseMs;
        // Not in hand any more, because it was settled meanwhile? The answer to that says so.
        else if (!attempt.isSettling) this.#lose(attempt.delivery);
      }
    } catch (error) {
      onProblem(error as Error);
      for (const { leasedUntil, delivery } of old) if (leasedUntil < performance.now()) this.#lose(delivery);
    }
  }
  // #endregion

  #lose(delivery: Delivery): void {
    const attempt = this.#held.get(delivery);
    if (!attempt) return;
    this.#letGo(attempt, 'lost');
    attempt.abort(new Error('the lease is over: somebody else has the job'));
  }

  #letGo(attempt: Attempt, as: Outcome['as'] | 'lost'): void {
    if (!this.#held.delete(attempt.delivery)) return;
    this.#options.onSettled(attempt, as);
    this.wake();
  }

  /** Resolves when fewer are held, or somebody calls `wake`. */
  changed(): Promise<void> {
    this.#changed ??= Promise.withResolvers();
    return this.#changed.promise;
  }

  wake(): void {
    this.#changed?.resolve();
    this.#changed = undefined;
  }

  /** What is still held then comes back when its lease is over. */
  [Symbol.dispose](): void {
    clearInterval(this.#heartbeat);
    this.#held.clear();
    clearTimeout(this.#retry);
    this.wake();
  }
}
