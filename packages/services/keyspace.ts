/**
 * Keys of one's own on a Redis that others use too: a prefix, and what is under it goes with it.
 */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';

export interface Keyspace extends AsyncDisposable {
  /** `patterns:<name>:<random>:`, to be put before every key. */
  readonly prefix: string;
}

/** On dispose every key under the prefix is unlinked: what is written later is not. */
export function redisKeyspace(serverUrl: string, name: string): Keyspace {
  const prefix = `patterns:${name}:${randomBytes(4).toString('hex')}:`;
  return { prefix, [Symbol.asyncDispose]: () => unlinkAll(serverUrl, prefix) };
}

// Large enough that a thousand keys are few round trips, small enough that Redis serves others in between.
const scanCount = 1_000;

async function unlinkAll(serverUrl: string, prefix: string): Promise<void> {
  const redis = new Redis(serverUrl, { lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {}); // the command that it broke rejects
  try {
    // SCAN takes a glob: a prefix with a star in its name must not match its neighbours.
    const match = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`;
    for await (const keys of redis.scanStream({ match, count: scanCount }) as AsyncIterable<string[]>) {
      if (keys.length > 0) await redis.unlink(...keys);
    }
  } finally {
    redis.disconnect();
  }
}
