/**
 * How many requests a client may make. The counts are in Redis, so that all sidecars of an app count together; and it is said
 * what happens when Redis is away, because otherwise it just happens: `local` (each process counts for itself: the limit is
 * looser by the number of processes) or `open` (nobody is counted). Never closed: a limiter that is down must not be an outage.
 */
import { once } from 'node:events';
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { type ClientRateLimitInfo, ipKeyGenerator, MemoryStore, type Options, type Store } from 'express-rate-limit';
import { Redis } from 'ioredis';
import { RedisStore } from 'rate-limit-redis';
import type { Metrics } from './metrics.ts';

export interface RateLimit {
  /** Requests per client and window. */
  max: number;
  /** A fixed window: at its turn a client may send `max` twice in a short time. That is what it costs to be this simple. */
  windowMs: number;
  whenRedisIsAway: 'local' | 'open';
  /** Put before every key. */
  prefix: string;
}

export interface LimiterOptions extends RateLimit {
  counters: SharedCounters;
  metrics: Metrics;
}

/** Long for a Redis next door, and short beside a request. */
const ANSWER_MS = 500;
/** What the start of a sidecar waits for Redis, at most. */
const CONNECT_MS = 2_000;
/** While Redis is away it is asked again this often, and not by every request. */
const REST_MS = 1_000;

/** Whom a request counts for: an address, or the /56 of an IPv6 one, of which a customer has 256 /64s to hop about in. */
export function limitKey(client: string): string {
  return ipKeyGenerator(client, 56);
}

/** 429. Retry-After and the RateLimit fields are set by who counts. */
export function tooManyRequests(): HttpProblem {
  return new HttpProblem(429, { detail: 'too many requests: Retry-After says when to go on' });
}

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

  // #region away
  /** Counts one request. @throws when Redis is away and the policy is to let requests pass. */
  async increment(key: string): Promise<ClientRateLimitInfo> {
    if (this.#redis === undefined) return this.#local.increment(key);
    if (performance.now() < this.#askAgainAt) return this.#countAlone(key);
    try {
      this.#shared ??= await this.#prepare(this.#redis);
      const info = await this.#shared.increment(key);
      if (this.#askAgainAt > 0) this.#log.info('rate limit: Redis is back, counting together');
      this.#askAgainAt = 0;
      return info;
    } catch (error) {
      if (this.#askAgainAt === 0)
        this.#log.warn(`rate limit: Redis is away, ${ABOUT[this.#options.whenRedisIsAway]}`, { error });
      this.#askAgainAt = performance.now() + REST_MS;
      this.#shared = undefined;
      return this.#countAlone(key);
    }
  }

  #countAlone(key: string): Promise<ClientRateLimitInfo> {
    this.#metrics.limiterAlone.inc();
    if (this.#options.whenRedisIsAway === 'local') return this.#local.increment(key);
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

  /** The connection, for an engine that counts in a way of its own on the same keys. */
  get redis(): Redis | undefined {
    return this.#redis;
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
