/** One delivery in the hands of a worker: until when it is leased, and what its handler knows about it. */
import type { Delivery, Outcome } from './queue.ts';

/** What a handler is given beside its job. */
export interface JobContext {
  /** Aborts when the lease is lost (somebody else has the job by now) or the worker must stop: what is not done yet shall not be. */
  readonly signal: AbortSignal;
  /** 1 the first time. */
  readonly attempt: number;
  /** The span that asked for the job: the parent of the handler's. [W3C Trace Context §3.2] */
  readonly traceparent: string | undefined;
}

export class Attempt implements JobContext {
  readonly delivery: Delivery;
  readonly startedAt = performance.now();
  /** By our clock (`performance.now`), and later than the broker's by as long as its answer was under way. */
  leasedUntil: number;
  /** Set when it has ended; the broker may not know yet. */
  outcome: Outcome | undefined;
  /** While the broker is being told. */
  isSettling = false;
  #abortReason: Error | undefined;
  #aborter: AbortController | undefined;

  constructor(delivery: Delivery, leaseMs: number) {
    this.delivery = delivery;
    this.leasedUntil = this.startedAt + leaseMs;
  }

  get attempt(): number {
    return this.delivery.attempt;
  }

  get traceparent(): string | undefined {
    return this.delivery.job.traceparent;
  }

  /** Made when it is asked for: a signal costs more than many a handler. */
  get signal(): AbortSignal {
    if (!this.#aborter) {
      this.#aborter = new AbortController();
      if (this.#abortReason) this.#aborter.abort(this.#abortReason);
    }
    return this.#aborter.signal;
  }

  abort(reason: Error): void {
    this.#abortReason ??= reason;
    this.#aborter?.abort(reason);
  }
}
