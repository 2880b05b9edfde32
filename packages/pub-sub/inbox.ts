/**
 * What waits for one handler: messages that came while it was busy, at most `maxPending` of them.
 *
 * Redis pushes, and cannot be asked to wait: if we stopped reading, its buffer for us would grow until it cuts us off, with all that
 * is in it. So we always read, and a handler that falls behind loses messages of its own and nobody else's. It ends with `close`.
 */
import type { Delivery, Handler } from './broker.ts';
import { type Envelope, PubSubError } from './protocol.ts';

export interface InboxOptions {
  /** Some seconds of a busy channel; at 1 KB a message, a megabyte for each handler. */
  maxPending: number;
  onProblem: (problem: PubSubError) => void;
}

const FIRST_ATTEMPT: Delivery = { attempt: 1 };

export class Inbox {
  readonly #handler: Handler;
  readonly #options: InboxOptions;
  readonly #waiting: Envelope[] = [];
  #working: Promise<void> | undefined;
  #dropped = 0;

  constructor(handler: Handler, options: InboxOptions) {
    this.#handler = handler;
    this.#options = options;
  }

  // #region push
  /** A handler that returns no promise is done when it returns, and needs no queue. */
  push(message: Envelope): void {
    if (!this.#working) {
      const handled = this.#handle(message);
      if (handled) this.#working = this.#workOff(handled);
    } else if (this.#waiting.length < this.#options.maxPending) {
      this.#waiting.push(message);
    } else if (++this.#dropped === 1) {
      this.#report('queue-full', `a handler of ${message.channel} has ${this.#waiting.length} waiting: dropping`);
    }
  }

  /** What it throws is reported, and ends nothing. */
  #handle(message: Envelope): Promise<void> | undefined {
    const failed = (cause: unknown) => this.#report('handler-failed', `a handler of ${message.channel} failed`, cause);
    try {
      return this.#handler(message, FIRST_ATTEMPT)?.catch(failed);
    } catch (cause) {
      failed(cause);
      return undefined;
    }
  }
  // #endregion

  /** Resolves when the handler is through with all that came. */
  async close(): Promise<void> {
    await this.#working;
  }

  async #workOff(first: Promise<void>): Promise<void> {
    await first;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) await this.#handle(next);
    this.#working = undefined;
    if (this.#dropped > 0) this.#report('queue-full', `${this.#dropped} messages were dropped, and now it keeps up`);
    this.#dropped = 0;
  }

  #report(code: 'queue-full' | 'handler-failed', message: string, cause?: unknown): void {
    this.#options.onProblem(new PubSubError(code, message, { cause }));
  }
}
