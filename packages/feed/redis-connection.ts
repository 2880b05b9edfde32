/**
 * A connection to Redis that fails a command when its line fails, and comes back by itself for the next.
 *
 * What surprises in ioredis' defaults: a command whose line broke is sent again on the next one, so an XADD may be done
 * twice; and a line that has gone silent without a word (a lost machine, a forgotten NAT entry) is never given up.
 */
import { Redis } from 'ioredis';

/** Far beyond a handshake on a network that is well; short enough that a request waiting for it can still be answered. */
const CONNECT_TIMEOUT_MS = 2_000;

export interface ConnectOptions {
  /** Shown by CLIENT LIST. */
  name: string;
  /** A line that owes an answer and brings nothing for so long is cut. */
  silentMs: number;
  /** The longest a command may take, the wait for a connection included. Default: unbounded. */
  commandTimeoutMs?: number;
  /** Gets the errors of the connection, which belong to no command. */
  onError: (error: Error) => void;
}

/** Connects with the first command. `url`: redis:// or rediss://. */
export function connectRedis(url: string, { name, silentMs, commandTimeoutMs, onError }: ConnectOptions): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: silentMs,
    ...(commandTimeoutMs === undefined ? {} : { commandTimeout: commandTimeoutMs }),
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Full jitter, up to a second: servers that lost the same Redis do not all come back in one instant.
    retryStrategy: (attempt) => Math.random() * Math.min(50 * 2 ** attempt, 1_000),
  });
  redis.on('error', onError);
  return redis;
}
