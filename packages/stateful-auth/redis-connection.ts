/**
 * The connection to Redis that sessions and the login limit are read over. Nothing on it waits for long: a request that cannot
 * have its session now is told so now, and the connection comes back by itself.
 *
 * By ioredis' defaults a command waits in a queue until there is a connection again, through twenty attempts (some ten seconds),
 * and for ever on a line that has gone silent.
 */
import { Redis } from 'ioredis';

export interface ConnectOptions {
  /** Gets the errors of the connection, which belong to no command. */
  onError?: (error: Error) => void;
  /** The longest a command may take. 2 s: a thousand times what it takes, and less than anybody waits for a page. */
  commandTimeoutMs?: number;
}

/** Begins to connect, and goes on trying. `url`: redis:// or rediss://. */
export function connectRedis(
  url: string,
  { onError = () => {}, commandTimeoutMs = 2_000 }: ConnectOptions = {},
): Redis {
  const redis = new Redis(url, {
    connectionName: 'stateful-auth',
    enableOfflineQueue: false, // without a connection: fail now
    commandTimeout: commandTimeoutMs,
    connectTimeout: 5_000,
    socketTimeout: 2 * commandTimeoutMs, // a line that owes an answer for so long is dead: cut it, and connect anew
    // A command whose line broke has failed; its request says so, and is not carried out a second time behind its back.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Full jitter, up to a second: servers that lost the same Redis do not all come back in one instant.
    retryStrategy: (attempt) => 10 + Math.random() * Math.min(50 * 2 ** attempt, 1_000),
  });
  redis.on('error', onError);
  return redis;
}

/** Resolves when the first attempt to connect has succeeded, or failed: it goes on trying, but nobody need wait for that. */
export async function attempted(redis: Redis): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      redis.off('ready', done).off('close', done);
      resolve();
    };
    redis.on('ready', done).on('close', done);
    if (redis.status === 'ready') done();
  });
}
