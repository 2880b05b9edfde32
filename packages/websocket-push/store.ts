/**
 * Values that expire, by their key: where sessions and tickets are kept. In Redis any server can redeem what another one gave
 * out. In memory they end with the process, which will do for one server.
 */
import { connectRedis } from '@patterns/feed/redis-connection';
import type { Redis } from 'ioredis';

export interface ExpiringStore {
  /** Keeps the value for `ttlMs` milliseconds. */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  get(key: string): Promise<string | undefined>;
  /** Gets the value and removes it, in one step: of two who ask at once, one gets it. */
  take(key: string): Promise<string | undefined>;
}

export class MemoryStore implements ExpiringStore {
  readonly #entries = new Map<string, { value: string; expiresAt: number }>();

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    const now = Date.now();
    for (const [old, { expiresAt }] of this.#entries) if (expiresAt <= now) this.#entries.delete(old);
    this.#entries.set(key, { value, expiresAt: now + ttlMs });
  }

  async get(key: string): Promise<string | undefined> {
    const entry = this.#entries.get(key);
    return entry && entry.expiresAt > Date.now() ? entry.value : undefined;
  }

  async take(key: string): Promise<string | undefined> {
    const value = this.get(key);
    this.#entries.delete(key); // in the same step: nothing was awaited
    return value;
  }
}

/** A person waits for the answer, or a browser that shows nothing meanwhile. */
const TIMEOUT_MS = 2_000;

export class RedisStore implements ExpiringStore, AsyncDisposable {
  readonly #redis: Redis;
  readonly #prefix: string;

  /** `prefix` is put before every key; `onError` gets the errors of the connection, which belong to no command. */
  constructor(url: string, { prefix, onError }: { prefix: string; onError: (error: Error) => void }) {
    this.#prefix = prefix;
    const name = `${prefix}store`;
    this.#redis = connectRedis(url, { name, silentMs: TIMEOUT_MS, commandTimeoutMs: TIMEOUT_MS, onError });
  }

  async set(key: string, value: string, ttlMs: number): Promise<void> {
    await this.#redis.set(this.#prefix + key, value, 'PX', ttlMs);
  }

  async get(key: string): Promise<string | undefined> {
    return (await this.#redis.get(this.#prefix + key)) ?? undefined;
  }

  async take(key: string): Promise<string | undefined> {
    return (await this.#redis.getdel(this.#prefix + key)) ?? undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#redis.disconnect();
  }
}
