/**
 * One client's polls, one after the other: waits until it is time, asks, and goes on asking until there is an answer.
 *
 * The wait begins when the last poll has ended. However slow the server is, a client never has two questions under way, and
 * so never reads an older answer after a newer one. Ends when `signal` aborts, or with an error that asking again cannot mend.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, ask, PollingError } from './ask.ts';
import { adapt, type Bounds, type Outcome, type Rhythm, waitMs } from './interval.ts';

export interface PollOptions extends Partial<Bounds> {
  signal?: AbortSignal | undefined;
  /** For one answer. 10 s: nobody who waits for news of the last seconds has a use for an older answer. */
  deadlineMs?: number;
  /** Failures in a row after which it gives up. Default: never. */
  maxFailures?: number;
}

export class Poller {
  readonly #bounds: Bounds;
  readonly #options: PollOptions & { deadlineMs: number };
  #rhythm: Rhythm;
  #waitMs: number;
  #etag: string | undefined;
  /** What the answer that we know by `#etag` asked us to wait: a 304 says that it still holds. */
  #intervalMs = 0;

  /** `minMs`: 2 s, as often as somebody who waits would look; `maxMs`: 30 s, so that whoever looks again is not told much too late. */
  constructor({ minMs = 2_000, maxMs = Math.max(minMs, 30_000), deadlineMs = 10_000, ...options }: PollOptions) {
    this.#bounds = { minMs, maxMs };
    this.#options = { deadlineMs, ...options };
    this.#rhythm = { intervalMs: minMs, failures: 0 };
    // The first one at random as well: after an outage, or a deployment, everybody begins at the same moment.
    this.#waitMs = Math.random() * minMs;
  }

  // #region poll
  /**
   * The next answer from `url`: 200, or 304 when nothing is new. Undefined when `signal` has aborted.
   * @throws {PollingError} when the server refuses for good, or cannot be reached for too long.
   */
  async poll(url: string): Promise<Answer | undefined> {
    const { signal, deadlineMs } = this.#options;
    for (;;) {
      await delay(this.#waitMs, undefined, { signal }).catch(() => {});
      if (signal?.aborted) return undefined;
      // Whatever rejects here is the line, or the deadline: it passes.
      const answer = await ask(url, { etag: this.#etag, deadlineMs, signal }).catch((error: Error) => error);
      if (answer instanceof Error || willPass(answer)) {
        this.#fail(answer);
        continue;
      }
      if (answer.status !== 200 && answer.status !== 304) throw refusal(answer);
      if (answer.status === 200) {
        this.#etag = answer.etag;
        this.#intervalMs = answer.retryAfterMs ?? 0;
      }
      this.found('nothing'); // unless the caller finds more in it
      return answer;
    }
  }

  /** Says what was in the answer. `more`: there is another page, so the next poll does not wait. */
  found(what: 'news' | 'nothing' | 'more'): void {
    if (what === 'more') this.#waitMs = 0;
    else this.#schedule(what, this.#intervalMs);
  }
  // #endregion

  /** Forgets what it knows, and asks at once. */
  startAnew(): void {
    this.#etag = undefined;
    this.#waitMs = 0;
  }

  #fail(cause: Answer | Error): void {
    if (!this.#options.signal?.aborted && this.#rhythm.failures + 1 >= (this.#options.maxFailures ?? Infinity)) {
      throw new PollingError('unreachable', `no answer after ${this.#rhythm.failures + 1} attempts`, { cause });
    }
    this.#schedule('failure', (cause instanceof Error ? undefined : cause.retryAfterMs) ?? this.#intervalMs);
  }

  #schedule(outcome: Outcome, askedMs: number): void {
    this.#rhythm = adapt(this.#rhythm, outcome, this.#bounds);
    this.#waitMs = waitMs(this.#rhythm, this.#bounds, askedMs);
  }
}

/** Not ready yet, asked too often, or the server's own trouble; anything else will be the same next time. */
const willPass = ({ status }: Answer) => status === 202 || status === 429 || status >= 500;

function refusal({ status, body }: Answer): PollingError {
  return new PollingError(status === 410 ? 'cursor-expired' : 'refused', `${status}: ${body}`);
}
