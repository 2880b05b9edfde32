/**
 * A connection to Redis that fails a command when its line fails, and comes back by itself for the next.
 *
 * What surprises in ioredis' defaults: a command whose line broke is sent again on the next one, so an XADD may be done twice; a
 * line that has gone silent without a word is never given up; and an error that nobody listens to is printed and forgotten.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { QueueError } from './job.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** A Redis that is well answers in a millisecond. Longer than a failover, which a command may survive in the client. */
const COMMAND_TIMEOUT_MS = 10_000;
/** A line that is well says goodbye in a millisecond; one that is not must not hold up the end. */
const FAREWELL_MS = 1_000;

export interface ConnectOptions {
  /** Shown by CLIENT LIST. */
  name: string;
  /** Gets the errors of the line, which belong to no command. */
  onProblem: (problem: QueueError) => void;
}

/** Connects with the first command. `url`: redis:// or rediss://. */
export function connectRedis(url: string, { name, onProblem }: ConnectOptions): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: COMMAND_TIMEOUT_MS,
    disconnectTimeout: FAREWELL_MS / 2,
    disableClientInfo: true,
    enableReadyCheck: false, // a Redis that is still loading its file says so to the first command
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Full jitter, up to a second: workers that lost the same Redis do not all come back in one instant.
    retryStrategy: (attempt) => Math.random() * Math.min(50 * 2 ** attempt, 1_000),
  });
  redis.on('error', (error) => onProblem(unavailable(error)));
  return redis;
}

/** What a rejected command means to whoever asked for it. */
export function unavailable(cause: unknown): QueueError {
  if (cause instanceof QueueError) return cause;
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new QueueError('unavailable', `Redis did not answer as expected: ${reason}`, { cause });
}

/** What Redis throws away when its memory is full; undefined where we may not ask. */
export async function evictionOf(redis: Redis): Promise<string | undefined> {
  const info = await redis.info('memory').catch(() => '');
  return /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
}

/** Says goodbye, so that what was sent before is still answered; cuts a line that cannot. Safe to call twice. */
export async function quit(redis: Redis): Promise<void> {
  if (redis.status === 'ready') {
    const late = new AbortController();
    const goodbye = redis.quit().catch(() => {});
    await Promise.race([goodbye, pause(FAREWELL_MS, undefined, { signal: late.signal }).catch(() => {})]);
    late.abort();
  }
  if (redis.status !== 'end') hangUp(redis);
}

/** Cuts the line: whoever waits for an answer is told, at once. */
function hangUp(redis: Redis): void {
  const isBetween = redis.status === 'reconnecting';
  redis.disconnect();
  if (!isBetween) return;
  // Between two attempts ioredis has no line to close, and forgets who waits: an attempt that is given up at once tells them.
  redis.connect().catch(() => {});
  redis.disconnect();
}
