/**
 * Counters in Redis, and what takes their place when Redis is away. `local`: each process counts for itself, and the limit is looser
 * by the number of processes. `open`: nobody is counted. Never closed: a limiter that is down must not be an outage.
 */
import { once } from 'node:events';
import type { Log } from '@patterns/kit/log';
import { type ClientRateLimitInfo, MemoryStore, type Options, type Store } from 'express-rate-limit';
import { Redis } from 'ioredis';
import { RedisStore } from 'rate-limit-redis';
import type { Metrics } from './metrics.ts';
import type { RateLimit } from './rate-limit.ts';

/** Long for a Redis next door, and short beside a request. */
const ANSWER_MS = 1_000;
/** What the start of a sidecar waits for Redis, at most. */
const CONNECT_MS = 2_000;
/** While Redis is away it is asked again this often, and not by every request. */
const REST_MS = 1_000;

/** Counts in Redis as long as it answers, and by the policy as long as it does not. */
export class SharedCounters implements Store {
  readonly #options: RateLimit;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #local = new MemoryStore();
  readonly #redis: Redis | undefined;
  #shared: RedisStore | undefined;
  #askAgainAt = 0;

  constructor(redisUrl: string | undefined, options: RateLimit, log: Log, metrics: Metrics) {
    this.#options = options;
    this.#log = log;
    this.#metrics = metrics;
    this.#local.init({ windowMs: options.windowMs } as Options);
    this.#redis = redisUrl === undefined ? undefined : connect(redisUrl, log);
  }

  /** Connects, and waits a moment for it: a Redis that is there should count the first request, too. */
  static async open(
    redisUrl: string | undefined,
    options: RateLimit,
    log: Log,
    metrics: Metrics,
  ): Promise<SharedCounters> {
    const counters = new SharedCounters(redisUrl, options, log, metrics);
    const redis = counters.#redis;
    if (redis) await once(redis, 'ready', { signal: AbortSignal.timeout(CONNECT_MS) }).catch(() => {});
    return counters;
  }

  /** For express-rate-limit. What there is to prepare is prepared by the first request, and again after Redis was away. */
  init(): void {}

  /** Counts one request. @throws when Redis is away and the policy is to let requests pass. */
  increment(key: string): Promise<ClientRateLimitInfo> {
    return this.count(
      async (redis) => {
        this.#shared ??= await this.#prepare(redis);
        return this.#shared.increment(key);
      },
      () => this.incrementAlone(key),
    );
  }

  // #region away
  /**
   * Counts in Redis by `together`, or, when Redis is away, by the policy: by `alone`, or not at all.
   * @throws when Redis is away and the policy is to let requests pass.
   */
  async count<T>(together: (redis: Redis) => Promise<T>, alone: () => Promise<T>): Promise<T> {
    if (this.#redis === undefined) return alone();
    if (performance.now() < this.#askAgainAt) return this.#countAlone(alone);
    try {
      const counted = await together(this.#redis);
      if (this.#askAgainAt > 0) this.#log.info('rate limit: Redis is back, counting together');
      this.#askAgainAt = 0;
      return counted;
    } catch (error) {
      if (this.#askAgainAt === 0)
        this.#log.warn(`rate limit: Redis is away, ${ABOUT[this.#options.whenRedisIsAway]}`, { error });
      this.#askAgainAt = performance.now() + REST_MS;
      this.#shared = undefined;
      return this.#countAlone(alone);
    }
  }

  #countAlone<T>(alone: () => Promise<T>): Promise<T> {
    this.#metrics.limiterAlone.inc();
    if (this.#options.whenRedisIsAway === 'local') return alone();
    throw new Error('not counted: Redis is away');
  }

  /** RedisStore loads its scripts once, when it is made, and if that fails it fails for ever: so a new one is made then. */
  async #prepare(redis: Redis): Promise<RedisStore> {
    const { prefix, windowMs } = this.#options;
    const sendCommand = (command: string, ...args: string[]) => redis.call(command, ...args) as Promise<number>;
    const store = new RedisStore({ prefix, sendCommand });
    await store.init({ windowMs } as Options);
    return store;
  }
  // #endregion

  async decrement(key: string): Promise<void> {
    await (this.#shared ?? this.#local).decrement(key);
  }

  async resetKey(key: string): Promise<void> {
    await (this.#shared ?? this.#local).resetKey(key);
  }

  /** Counts one request for this process alone. */
  incrementAlone(key: string): Promise<ClientRateLimitInfo> {
    return this.#local.increment(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#local.shutdown();
    this.#redis?.disconnect();
  }
}

const ABOUT = { local: 'each sidecar counts for itself', open: 'nobody is counted' };

function connect(url: string, log: Log): Redis {
  const redis = new Redis(url, {
    connectionName: 'sidecar',
    connectTimeout: CONNECT_MS,
    commandTimeout: ANSWER_MS,
    enableAutoPipelining: true, // the requests of one pass of the event loop are counted in one round trip
    enableOfflineQueue: false, // no request waits for a connection that is not there
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false, // else a request may count twice
    retryStrategy: (attempt) => Math.random() * Math.min(50 * 2 ** attempt, 1_000),
  });
  redis.on('error', (error) => log.debug('rate limit: connection to Redis', { error }));
  return redis;
}
