/**
 * The worker's end of a queue in Redis: waits for entries, and puts back what is due.
 *
 * A take waits in Redis itself (XREADGROUP BLOCK), so a job is there as soon as it is written. But Redis knows neither delays nor leases:
 * nobody is woken when one of them is over. So whoever takes looks for that a few times in a second.
 */
import type { Redis } from 'ioredis';
import type { TakeOptions } from './queue.ts';
import { unavailable } from './redis-queue-connection.ts';
import { MOST_AT_ONCE, run, SWEEP, TAKE } from './redis-queue-scripts.ts';

export interface Entry {
  id: string;
  text: string;
  /** Attempts before this one. */
  tried: number;
}

/** How late at most something comes whose delay or lease is over. Also how soon an abort is seen. */
const SWEEP_MS = 200;

export class Taker {
  readonly #commands: Redis;
  /** Of its own: a read that waits holds up whatever is asked behind it. */
  readonly #reader: Redis;
  readonly #keys: string[];
  #sweepAt = 0;
  #hasBacklog = false;

  constructor(commands: Redis, reader: Redis, keys: string[]) {
    this.#commands = commands;
    this.#reader = reader;
    this.#keys = keys;
  }

  /** `holder`: the name under which Redis keeps what is taken. @throws {QueueError} `unavailable` */
  async take(holder: string, { limit, waitMs = 5_000, signal }: TakeOptions): Promise<Entry[]> {
    const until = performance.now() + waitMs;
    for (;;) {
      if (performance.now() >= this.#sweepAt) await this.sweep();
      const leftMs = Math.ceil(until - performance.now());
      const entries = this.#hasBacklog
        ? await this.#read(holder, limit)
        : await this.#waitFor(holder, limit, Math.max(1, Math.min(leftMs, SWEEP_MS)));
      this.#hasBacklog = entries.length === limit;
      if (entries.length > 0 || signal?.aborted || performance.now() >= until) return entries;
    }
  }

  /** Puts back what is due, and before that makes the queue, if it is not there. @throws {QueueError} `unavailable` */
  async sweep(): Promise<void> {
    this.#sweepAt = performance.now() + SWEEP_MS;
    // However many workers there are, one of them is enough.
    const count = (await run(this.#commands, SWEEP, this.#keys, [SWEEP_MS / 2, MOST_AT_ONCE])) as number;
    if (count >= MOST_AT_ONCE) this.#sweepAt = 0; // there is more
  }

  async #read(holder: string, limit: number): Promise<Entry[]> {
    const texts = (await run(this.#commands, TAKE, this.#keys, [holder, limit])) as string[];
    return texts.map((text) => {
      const [afterId, afterTried] = [text.indexOf(' '), text.indexOf(' ', text.indexOf(' ') + 1)];
      return {
        id: text.slice(0, afterId),
        tried: Number(text.slice(afterId, afterTried)),
        text: text.slice(afterTried + 1),
      };
    });
  }

  async #waitFor(holder: string, limit: number, blockMs: number): Promise<Entry[]> {
    const options = ['COUNT', limit, 'BLOCK', blockMs, 'STREAMS', this.#keys[0]!, '>'] as const;
    try {
      const answer = (await this.#reader.xreadgroup('GROUP', 'workers', holder, ...options)) as Answer | null;
      return (answer?.[0]?.[1] ?? []).map(([id, [, text = '', , tried = '0']]) => ({ id, text, tried: Number(tried) }));
    } catch (error) {
      if (!(error as Error).message.startsWith('NOGROUP')) throw unavailable(error);
      this.#sweepAt = 0; // the next one makes it again
      return [];
    }
  }
}

type Answer = [key: string, entries: [id: string, fields: string[]][]][];
