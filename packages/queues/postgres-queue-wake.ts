/**
 * Hears that there may be something to do: LISTEN, on a connection of its own that comes back by itself.
 *
 * A notification is a wake-up and nothing more. It says no more than which queue, it is lost while nobody listens, and everybody
 * hears it: whoever wakes looks at the table. So who waits also looks now and then without being woken (postgres-queue.ts).
 * LISTEN belongs to a session: through a PgBouncer that pools transactions nothing would be heard.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { connectionOf, unavailable } from './postgres-queue-table.ts';

/** After that a new connection is tried, at the latest. */
const RETRY_MS = 1_000;

export class WakeUp implements AsyncDisposable {
  readonly #url: string;
  readonly #queue: string;
  readonly #onProblem: (problem: Error) => void;
  readonly #ending = new AbortController();
  #next = Promise.withResolvers<void>();
  #listening: Promise<void> | undefined;
  #client: pg.Client | undefined;

  constructor(url: string, queue: string, onProblem: (problem: Error) => void) {
    this.#url = url;
    this.#queue = queue;
    this.#onProblem = onProblem;
  }

  /** Resolves with the next wake-up. Ask before you look, and wait after: what comes in between is not missed. */
  next(): Promise<void> {
    this.#listening ??= this.#listen();
    return this.#next.promise;
  }

  wake(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  async #listen(): Promise<void> {
    for (let failures = 0; !this.#ending.signal.aborted; ) {
      const client = new pg.Client(connectionOf(this.#url, this.#queue));
      this.#client = client;
      const over = new Promise<void>((resolve) => client.once('end', resolve));
      client.on('error', (error) => this.#onProblem(unavailable(error)));
      client.on('notification', ({ payload }) => payload === this.#queue && this.wake());
      try {
        await client.connect();
        await client.query('listen queues');
        failures = 0;
        this.wake(); // for what was not heard
        await over;
      } catch (error) {
        this.#onProblem(unavailable(error));
      }
      await client.end().catch(() => {});
      // Full jitter: workers that lost the same server do not all come back in one instant.
      const delayMs = Math.random() * Math.min(50 * 2 ** failures++, RETRY_MS);
      await pause(delayMs, undefined, { signal: this.#ending.signal }).catch(() => {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#client?.end().catch(() => {});
    await this.#listening;
  }
}
