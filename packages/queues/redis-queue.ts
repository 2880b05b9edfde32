/**
 * A queue on a Redis Stream: a consumer group hands each entry to one worker, and remembers who has it and since when.
 *
 * Redis knows neither leases nor delays: whoever takes looks now and then for what is due, and puts it back (redis-queue-scripts.ts).
 * A take waits in Redis itself (XREADGROUP BLOCK), on a connection of its own, so a job is there as soon as it is written.
 *
 * How much outlives Redis itself is its own setting. With `appendonly yes, appendfsync always` whatever was accepted does; `everysec`,
 * the default of many, loses the last second when the machine dies, but nothing when only Redis does; without the file, everything.
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
import { connectRedis, quit, unavailable } from './redis-queue-connection.ts';
import { deadOf, depthOf, redrive } from './redis-queue-look.ts';
import { DONE, MOST_AT_ONCE, PUT_BACK, run, SWEEP } from './redis-queue-scripts.ts';

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

/** How late at most something is taken that nobody announces: a delay or a lease that is over. Also how soon an abort is seen. */
const SWEEP_MS = 200;

type Entry = [id: string, fields: string[]];

/** @throws {QueueError} `unavailable` */
export async function openRedisQueue(options: RedisQueueOptions): Promise<RedisQueue> {
  const queue = new RedisQueue(options);
  try {
    await queue.create();
    return queue;
  } catch (error) {
    await queue[Symbol.asyncDispose]();
    throw error;
  }
}

export class RedisQueue implements Queue {
  readonly broker = 'redis';
  readonly guarantees = redisGuarantees;
  readonly #commands: Redis;
  /** Of its own: a read that waits holds up whatever is asked behind it. */
  readonly #reader: Redis;
  readonly #appender: Appender;
  readonly #onProblem: (problem: Error) => void;
  /** In one slot of a cluster: jobs, delayed, dead, and a mark that a sweep has just been. */
  readonly #keys: string[];
  readonly #id = randomUUID();
  #sweepAt = 0;

  constructor({ url, prefix = '', name, capacity = 100_000, onProblem = () => {} }: RedisQueueOptions) {
    this.#keys = ['jobs', 'delayed', 'dead', 'swept'].map((part) => `${prefix}queue:{${name}}:${part}`);
    this.#commands = connectRedis(url, { name: 'queue', onProblem });
    this.#reader = connectRedis(url, { name: 'queue-reader', onProblem });
    this.#appender = new Appender(this.#commands, this.#keys, capacity);
    this.#onProblem = onProblem;
  }

  /** Makes the Stream and its group, unless they are there. */
  async create(): Promise<void> {
    try {
      await this.#commands.xgroup('CREATE', this.#keys[0]!, 'workers', '0', 'MKSTREAM');
    } catch (error) {
      if (!(error as Error).message.startsWith('BUSYGROUP')) throw unavailable(error);
    }
  }

  enqueue(jobs: readonly Job[], { delayMs = 0 }: EnqueueOptions = {}): Promise<void> {
    return this.#appender.append(jobs, Math.ceil(delayMs));
  }

  // #region take
  async take({ limit, leaseMs, waitMs = 5_000, signal }: TakeOptions): Promise<Delivery[]> {
    const until = performance.now() + waitMs;
    for (;;) {
      await this.#sweep();
      const leftMs = Math.ceil(until - performance.now());
      const entries = await this.#read(limit, leaseMs, Math.max(1, Math.min(leftMs, SWEEP_MS)));
      const deliveries = entries.length > 0 ? await this.#decode(entries) : [];
      if (deliveries.length > 0 || signal?.aborted || performance.now() >= until) return deliveries;
    }
  }

  async #read(limit: number, leaseMs: number, blockMs: number): Promise<Entry[]> {
    const place = ['GROUP', 'workers', this.#holder(leaseMs), 'COUNT', limit, 'BLOCK', blockMs] as const;
    try {
      const answer = await this.#reader.xreadgroup(...place, 'STREAMS', this.#keys[0]!, '>');
      return (answer as [key: string, entries: Entry[]][] | null)?.[0]?.[1] ?? [];
    } catch (error) {
      if (!(error as Error).message.startsWith('NOGROUP')) throw unavailable(error);
      await this.create(); // somebody has emptied this Redis
      return [];
    }
  }

  /** The name that Redis keeps with what is in hand. It says how long. */
  #holder(leaseMs: number): string {
    return `${Math.ceil(leaseMs)}:${this.#id}`;
  }

  async #sweep(): Promise<void> {
    if (performance.now() < this.#sweepAt) return;
    this.#sweepAt = performance.now() + SWEEP_MS;
    await run(this.#commands, SWEEP, this.#keys, [SWEEP_MS / 2, MOST_AT_ONCE]);
  }
  // #endregion

  async #decode(entries: readonly Entry[]): Promise<Delivery[]> {
    const deliveries: Delivery[] = [];
    for (const [id, [, text = '', , tried = '0']] of entries) {
      try {
        deliveries.push({ job: decodeJob(text), attempt: Number(tried) + 1, receipt: id });
      } catch (problem) {
        this.#onProblem(problem as Error);
        await run(this.#commands, PUT_BACK, this.#keys, [id, 'dead', 0, (problem as Error).message]);
      }
    }
    return deliveries;
  }

  // #region settle
  async settle(outcomes: readonly Outcome[]): Promise<Delivery[]> {
    const done: string[] = [];
    const back: (string | number)[] = [];
    for (const outcome of outcomes) {
      const id = outcome.delivery.receipt as string;
      if (outcome.as === 'done') done.push(id);
      else
        back.push(
          id,
          outcome.as,
          'delayMs' in outcome ? Math.ceil(outcome.delayMs) : 0,
          'reason' in outcome ? outcome.reason : '',
        );
    }
    const answers = await Promise.all([
      done.length > 0 ? run(this.#commands, DONE, this.#keys, done) : [],
      back.length > 0 ? run(this.#commands, PUT_BACK, this.#keys, back) : [],
    ]);
    const lost = new Set(answers.flat());
    return lost.size === 0 ? [] : outcomes.map(({ delivery }) => delivery).filter(({ receipt }) => lost.has(receipt));
  }
  // #endregion

  /** An id that is not in hand any more is passed over, so those that come back are ours. JUSTID: it is no new delivery. */
  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<Delivery[]> {
    if (deliveries.length === 0) return [];
    const ids = deliveries.map(({ receipt }) => receipt as string);
    const place = [this.#keys[0]!, 'workers', this.#holder(leaseMs), 0] as const;
    try {
      const kept = new Set(await this.#commands.xclaim(...place, ...ids, 'JUSTID'));
      return deliveries.filter(({ receipt }) => !kept.has(receipt));
    } catch (error) {
      throw unavailable(error);
    }
  }

  dead({ limit = 100 } = {}): Promise<DeadJob[]> {
    return deadOf(this.#commands, this.#keys, limit);
  }

  redrive(ids: readonly string[]): Promise<number> {
    return redrive(this.#commands, this.#keys, ids);
  }

  depth(): Promise<Depth> {
    return depthOf(this.#commands, this.#keys);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([quit(this.#commands), quit(this.#reader)]);
  }
}
