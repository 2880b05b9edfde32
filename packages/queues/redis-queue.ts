/**
 * A queue on a Redis Stream: a consumer group hands each entry to one worker, and remembers who has it and since when.
 *
 * How much outlives Redis itself is its own setting. With `appendonly yes, appendfsync always` whatever was accepted does; `everysec`,
 * the usual one, loses up to a second when the machine dies, and nothing when only Redis does; without the file everything is lost.
 * `maxmemory-policy` must be `noeviction`: any other may throw the whole queue away.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { decodeJob, type Job } from './job.ts';
import type {
  DeadJob,
  Delivery,
  Depth,
  EnqueueOptions,
  Guarantees,
  Outcome,
  Queue,
  QueueOptions,
  TakeOptions,
} from './queue.ts';
import { Appender } from './redis-queue-appender.ts';
import { connectRedis, evictionOf, quit } from './redis-queue-connection.ts';
import { deadOf, depthOf, redrive } from './redis-queue-look.ts';
import { PUT_BACK, run } from './redis-queue-scripts.ts';
import { extend, settle } from './redis-queue-settle.ts';
import { type Entry, Taker } from './redis-queue-taker.ts';

// #region guarantees
export const redisGuarantees: Guarantees = {
  'at-least-once': true,
  'ack-after-work': true,
  lease: true,
  heartbeat: true,
  fencing: true,
  attempts: true,
  'dead-letter': true,
  'malformed-aside': true,
  'retry-delay': true,
  release: true,
  'delayed-job': true,
  'order-per-key': 'a Stream gives the next entry to whoever asks, and what is tried again goes to its end',
  bounded: true,
  'survives-restart': true, // with appendonly yes
  reconnects: true,
  'oldest-age': true,
};
// #endregion

export interface RedisQueueOptions extends QueueOptions {
  /** redis:// or rediss:// */
  url: string;
  /** Before every key. */
  prefix?: string;
}

/** @throws {QueueError} `unavailable` */
export async function openRedisQueue(options: RedisQueueOptions): Promise<Queue> {
  const { url, prefix = '', name, capacity = 100_000, onProblem = () => {} } = options;
  // In one slot of a cluster, so that a script may touch all of them. `swept` says that somebody has just looked for what is due.
  const keys = ['jobs', 'delayed', 'dead', 'swept'].map((part) => `${prefix}queue:{${name}}:${part}`);
  const commands = connectRedis(url, { name: 'queue', onProblem });
  const reader = connectRedis(url, { name: 'queue-reader', onProblem });
  const queue = new RedisQueue({ commands, reader, keys, capacity, onProblem });
  try {
    await queue.taker.sweep();
    const policy = (await evictionOf(commands)) ?? 'noeviction';
    if (policy !== 'noeviction') onProblem(new Error(`maxmemory-policy ${policy} may throw jobs away: set noeviction`));
    return queue;
  } catch (error) {
    await queue[Symbol.asyncDispose]();
    throw error;
  }
}

interface Parts {
  commands: Redis;
  reader: Redis;
  keys: string[];
  capacity: number;
  onProblem: (problem: Error) => void;
}

class RedisQueue implements Queue {
  readonly broker = 'redis';
  readonly guarantees = redisGuarantees;
  readonly taker: Taker;
  readonly #parts: Parts;
  readonly #appender: Appender;
  readonly #id = randomUUID();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#appender = new Appender(parts.commands, parts.keys, parts.capacity);
    this.taker = new Taker(parts.commands, parts.reader, parts.keys);
  }

  enqueue(jobs: readonly Job[], { delayMs = 0 }: EnqueueOptions = {}): Promise<void> {
    return this.#appender.append(jobs, Math.ceil(delayMs));
  }

  async take(options: TakeOptions): Promise<Delivery[]> {
    return await this.#decode(await this.taker.take(this.#holder(options.leaseMs), options));
  }

  async #decode(entries: readonly Entry[]): Promise<Delivery[]> {
    const deliveries: Delivery[] = [];
    for (const { id, text, tried } of entries) {
      try {
        deliveries.push({ job: decodeJob(text), attempt: tried + 1, receipt: id });
      } catch (error) {
        const { commands, keys, onProblem } = this.#parts;
        onProblem(error as Error);
        await run(commands, PUT_BACK, keys, [id, 'dead', 0, (error as Error).message]);
      }
    }
    return deliveries;
  }

  settle(outcomes: readonly Outcome[]): Promise<Delivery[]> {
    return settle(this.#parts.commands, this.#parts.keys, outcomes);
  }

  extend(deliveries: readonly Delivery[], leaseMs: number): Promise<Delivery[]> {
    return extend(this.#parts.commands, this.#parts.keys, this.#holder(leaseMs), deliveries);
  }

  /** The name that Redis keeps with what is in hand says how long it may be. */
  #holder(leaseMs: number): string {
    return `${Math.ceil(leaseMs)}:${this.#id}`;
  }

  dead({ limit = 100 } = {}): Promise<DeadJob[]> {
    return deadOf(this.#parts.commands, this.#parts.keys, limit);
  }

  redrive(ids: readonly string[]): Promise<number> {
    return redrive(this.#parts.commands, this.#parts.keys, ids);
  }

  depth(): Promise<Depth> {
    return depthOf(this.#parts.commands, this.#parts.keys);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([quit(this.#parts.commands), quit(this.#parts.reader)]);
  }
}
