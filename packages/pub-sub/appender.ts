/**
 * The writing end of the logs: what is published in one pass of the event loop is appended in one command.
 *
 * A caller that waits for each receipt pays a round trip for each message. Callers that do not wait for each other share one, and
 * one command: pipelined, each message would still be a command of its own to the driver, which costs more than the appending.
 */
import type { Redis } from 'ioredis';
import { positionOf, seqOf } from './log.ts';
import { unavailable } from './redis-connection.ts';

// Trims exactly, not with `~`: with one entry more than the limit that costs nothing, and the limit is one that can be relied on.
const APPEND_ALL = `
  local id
  for i = 2, #ARGV do id = redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '0-*', 'message', ARGV[i]) end
  return id
`;

/** Redis does nothing else meanwhile: some 2 ms. */
const MOST_AT_ONCE = 500;

interface Waiting {
  text: string;
  receipt: PromiseWithResolvers<string>;
}

export class Appender {
  readonly #redis: Redis;
  readonly #retain: number;
  readonly #waiting = new Map<string, Waiting[]>();

  /** `retain`: entries kept per log. */
  constructor(redis: Redis, retain: number) {
    this.#redis = redis;
    this.#retain = retain;
  }

  // #region append
  /** Resolves with the position. @throws {PubSubError} `unavailable`: it may have been appended or not. */
  append(key: string, text: string): Promise<string> {
    const receipt = Promise.withResolvers<string>();
    const waiting = this.#waiting.get(key);
    if (waiting) waiting.push({ text, receipt });
    else {
      if (this.#waiting.size === 0) setImmediate(() => this.#flush());
      this.#waiting.set(key, [{ text, receipt }]);
    }
    return receipt.promise;
  }

  #flush(): void {
    const logs = [...this.#waiting];
    this.#waiting.clear();
    for (const [key, waiting] of logs) {
      while (waiting.length > 0) void this.#appendAll(key, waiting.splice(0, MOST_AT_ONCE));
    }
  }

  async #appendAll(key: string, batch: Waiting[]): Promise<void> {
    try {
      const texts = batch.map(({ text }) => text);
      const last = seqOf((await this.#redis.eval(APPEND_ALL, 1, key, this.#retain, ...texts)) as string);
      // Nobody's entry can stand between them: a script is one step.
      for (const [i, { receipt }] of batch.entries()) receipt.resolve(positionOf(last - (batch.length - 1 - i)));
    } catch (error) {
      for (const { receipt } of batch) receipt.reject(unavailable(error));
    }
  }
  // #endregion
}
