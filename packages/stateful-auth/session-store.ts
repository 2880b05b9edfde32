/**
 * Sessions in Redis, for express-session: any number of server processes remember the same guests, and a restart forgets nobody.
 *
 * Three things beyond keeping JSON under a key. The key is a digest of the id, so whoever reads Redis, its dump or its slow log
 * holds no ids. A session that was destroyed stays so, even when another request still holds a copy and writes it back at its
 * end. And each user's sessions can be found, to end all of them.
 *
 * A session ends by being destroyed, by being idle for `idleMs`, or `absoluteMs` after its login, whatever comes first.
 */
import session, { type SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import { handleOf, isSession, parseSession } from './session-data.ts';
import { type SessionScripts, withScripts } from './session-scripts.ts';

/** The only error of this store: Redis did not answer, or not in time. */
export class SessionStoreError extends Error {
  override readonly name = 'SessionStoreError';
  readonly code = 'unavailable';
}

export interface SessionStoreOptions {
  redis: Redis;
  /** Before every key. */
  prefix: string;
  /** 30 min: a terminal left alone over lunch. */
  idleMs?: number;
  /** 12 h: a working day. Whoever holds a stolen id cannot keep it alive for longer. */
  absoluteMs?: number;
  /** Told of each command: for metrics. */
  observe?: (command: string, seconds: number, isAnswered: boolean) => void;
}

type Callback<T = void> = (error?: unknown, value?: T) => void;

export class RedisSessionStore extends session.Store {
  readonly #redis: Redis & SessionScripts;
  readonly #prefix: string;
  readonly #idleMs: number;
  readonly #absoluteMs: number;
  readonly #observe: NonNullable<SessionStoreOptions['observe']>;
  /** The sessions that are in Redis, or were: as objects, each of which belongs to one request. */
  readonly #stored = new WeakSet<object>();

  constructor({
    redis,
    prefix,
    idleMs = 30 * 60_000,
    absoluteMs = 12 * 3_600_000,
    observe = () => {},
  }: SessionStoreOptions) {
    super();
    this.#redis = withScripts(redis);
    this.#prefix = prefix;
    this.#idleMs = idleMs;
    this.#absoluteMs = absoluteMs;
    this.#observe = observe;
    // express-session listens for `connect` and `disconnect` of a store, and after `disconnect` goes on as if nobody had a session.
    // They are not emitted: a guest must hear "later", not "who are you?".
  }

  override get(id: string, callback: Callback<SessionData | null>): void {
    answer(
      callback,
      this.#run('get', () => this.#read(id)),
    );
  }

  /** Called by express-session with what `get` found: the request's own object, made of it. */
  override createSession(...[request, data]: Parameters<session.Store['createSession']>) {
    const created = super.createSession(request, data);
    if (this.#stored.has(data)) this.#stored.add(created);
    return created;
  }

  /** Writes a new session, or one that was read before and is still there. */
  override set(id: string, data: SessionData, callback: Callback = () => {}): void {
    const mode = this.#stored.has(data) ? 'update' : 'create';
    answer(
      callback,
      this.#run('set', () => this.#write(id, data, mode)),
    );
  }

  /** Makes the idle time begin anew. That it could not is no reason to break off an answer under way: it is only counted. */
  override touch(id: string, data: SessionData, callback: Callback = () => {}): void {
    answer(
      callback,
      this.#run('touch', () => this.#write(id, data, 'touch')).catch(() => {}),
    );
  }

  override destroy(id: string, callback: Callback = () => {}): void {
    answer(
      callback,
      this.#run('destroy', () => this.#remove(id)),
    );
  }

  /** Ends every session of a user, at once. @returns how many there were. @throws {SessionStoreError} */
  destroyAll(userId: number): Promise<number> {
    return this.#run('destroyAll', () => this.#redis.destroySessionsOf(`${this.#prefix}user:${userId}`, this.#prefix));
  }

  /** The sessions of a user, the one that will run out first first. @throws {SessionStoreError} */
  async sessionsOf(userId: number): Promise<{ handle: string; signedInAt: number }[]> {
    const found = await this.#run('list', () =>
      this.#redis.listSessionsOf(`${this.#prefix}user:${userId}`, this.#prefix),
    );
    const sessions = [];
    for (let i = 0; i < found.length; i += 2) {
      const data = parseSession(found[i + 1]!);
      if (data && this.#leftMs(data) > 0) sessions.push({ handle: found[i]!, signedInAt: data.signedInAt });
    }
    return sessions;
  }

  /** How many sessions there are, of all users. @throws {SessionStoreError} */
  count(): Promise<number> {
    return this.#run('count', () => this.#redis.countSessions(`${this.#prefix}all`));
  }

  async #read(id: string): Promise<SessionData | null> {
    const data = parseSession(await this.#redis.hget(this.#key(id), 'data'));
    if (!data || this.#leftMs(data) <= 0) return null;
    this.#stored.add(data);
    return data;
  }

  async #write(id: string, data: SessionData, mode: 'create' | 'update' | 'touch'): Promise<void> {
    if (!isSession(data)) throw new TypeError('a session of nobody is not kept');
    this.#stored.add(data);
    const ttlMs = this.#leftMs(data);
    if (ttlMs <= 0) return await this.#remove(id);
    const text = mode === 'touch' ? '' : JSON.stringify(data);
    const [key, handle, user] = [this.#key(id), handleOf(id), String(data.userId)];
    await this.#redis.writeSession(key, this.#prefix, handle, mode, ttlMs, this.#idleMs, text, user);
  }

  async #remove(id: string): Promise<void> {
    await this.#redis.destroySession(this.#key(id), this.#prefix, handleOf(id));
  }

  /** How long a session may now be idle: less and less towards its absolute end. */
  #leftMs({ signedInAt }: SessionData): number {
    return Math.min(this.#idleMs, signedInAt + this.#absoluteMs - Date.now());
  }

  #key(id: string): string {
    return `${this.#prefix}session:${handleOf(id)}`;
  }

  async #run<T>(command: string, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    let isAnswered = true;
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof TypeError) throw cause; // the caller's mistake, and not Redis'
      isAnswered = false;
      throw new SessionStoreError(`${command}: ${(cause as Error).message}`, { cause });
    } finally {
      this.#observe(command, (performance.now() - startedAt) / 1_000, isAnswered);
    }
  }
}

/** express-session speaks in callbacks. */
function answer<T>(callback: Callback<T>, work: Promise<T>): void {
  void work.then((value) => callback(null, value), callback);
}
