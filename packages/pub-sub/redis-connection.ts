/**
 * A connection to Redis that fails a command when its line fails, and comes back by itself for the next.
 *
 * What surprises in ioredis' defaults: a command whose line broke is sent again on the next one, so an XADD may be done twice; a
 * line that has gone silent without a word is never given up; and an error that nobody listens to is printed and forgotten.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import { PubSubError } from './protocol.ts';

/** A thousand clients that come at once wait for each other's handshakes: far beyond that. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A Redis that is well answers in a millisecond. Longer than a failover, which a command may survive in the queue. */
const COMMAND_TIMEOUT_MS = 10_000;
/** A line on which even our goodbye gets no answer is cut. */
const DISCONNECT_TIMEOUT_MS = 500;

export interface ConnectOptions {
  /** Shown by CLIENT LIST. */
  name: string;
  /** A line that owes an answer and brings nothing for so long is cut. */
  silentMs?: number;
  /** The longest a command may take, the wait for a connection included. A blocking command answers late by design: 0 is no limit. */
  commandTimeoutMs?: number;
  /** Commands of one pass of the event loop leave in one write. */
  pipelined?: boolean;
  /** Gets the errors of the line, which belong to no command. */
  onProblem: (problem: PubSubError) => void;
}

/** Connects with the first command. `url`: redis:// or rediss://. */
export function connectRedis(
  url: string,
  { name, silentMs = 10_000, commandTimeoutMs = COMMAND_TIMEOUT_MS, pipelined = false, onProblem }: ConnectOptions,
): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // Handshakes are dear when a thousand come at once; a Redis that is still loading says so to the first command.
    disableClientInfo: true,
    enableReadyCheck: false,
    socketTimeout: silentMs,
    ...(commandTimeoutMs > 0 ? { commandTimeout: commandTimeoutMs } : {}),
    enableAutoPipelining: pipelined,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false, // redis-pubsub.ts does it itself, and so knows when it is done
    // Full jitter, up to a second: subscribers that lost the same Redis do not all come back in one instant.
    retryStrategy: (attempt) => Math.random() * Math.min(50 * 2 ** attempt, 1_000),
  });
  redis.on('error', (error) => onProblem(unavailable(error)));
  return redis;
}

/** Connects to the cluster that the node at `url` belongs to; subscriptions to sharded channels go to their slots' masters. */
export function connectCluster(url: string, { onProblem }: Pick<ConnectOptions, 'onProblem'>): Cluster {
  const cluster = new Cluster([url], {
    lazyConnect: true,
    shardedSubscribers: true,
    clusterRetryStrategy: (attempt) => Math.random() * Math.min(50 * 2 ** attempt, 1_000),
    redisOptions: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      maxRetriesPerRequest: 0,
    },
  });
  cluster.on('error', (error) => onProblem(unavailable(error)));
  return cluster;
}

/** What a rejected command means to whoever asked for it. */
export function unavailable(cause: unknown): PubSubError {
  if (cause instanceof PubSubError) return cause;
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new PubSubError('unavailable', `Redis did not answer as expected: ${reason}`, { cause });
}

/** A line that is well says goodbye in a millisecond; one that is not must not hold up the end. */
const FAREWELL_MS = 1_000;

/** Waits for an answer to a farewell, but not for long. @returns undefined when there was none in time, or an error. */
export async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
  const late = new AbortController();
  const patience = pause(FAREWELL_MS, undefined, { signal: late.signal }).catch(() => undefined);
  const first = await Promise.race([answer.catch(() => undefined), patience]);
  late.abort();
  return first;
}

/** Says goodbye, so that what was sent before is still answered; cuts a line that cannot. Safe to call twice. */
export async function quit(redis: Redis | Cluster): Promise<void> {
  if (redis.status === 'end') return;
  if (redis.status === 'ready' && (await inTime(redis.quit())) === 'OK') return;
  hangUp(redis);
}

/** Cuts the line: whoever waits for an answer is told, at once. */
export function hangUp(redis: Redis | Cluster): void {
  const isBetween = redis.status === 'reconnecting';
  redis.disconnect();
  if (!isBetween) return;
  // Between two attempts ioredis has no line to close, and forgets who waits: an attempt that is given up at once tells them.
  redis.connect().catch(() => {});
  redis.disconnect();
}
