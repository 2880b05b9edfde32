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
import { handleOf, isSession, type KeptSession, parseSession } from './session-data.ts';
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
  readonly #options: Required<SessionStoreOptions>;
  /** The sessions that are in Redis, or were: as objects, each of which belongs to one request. */
  readonly #stored = new WeakSet<object>();

  constructor(options: SessionStoreOptions) {
    super();
    this.#redis = withScripts(options.redis);
    this.#options = { idleMs: 30 * 60_000, absoluteMs: 12 * 3_600_000, observe: () => {}, ...options };
    // express-session listens for `connect` and `disconnect` of a store, and after `disconnect` goes on as if nobody had a session.
    // They are not emitted: a guest must hear "later", not "who are you?".
  }

  override get(id: string, callback: Callback<SessionData | null>): void {
    this.#answer('get', callback, () => this.#read(id));
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
    this.#answer('set', callback, () => this.#write(id, data, mode));
  }

  /** Makes the idle time begin anew. That it could not is no reason to break off an answer under way: it is only counted. */
  override touch(id: string, data: SessionData, callback: Callback = () => {}): void {
    const done = () => callback();
    this.#answer('touch', done, () => this.#write(id, data, 'touch'));
  }

  override destroy(id: string, callback: Callback = () => {}): void {
    this.#answer('destroy', callback, () => this.#remove(id));
  }

  /** Ends every session of a user, at once. @returns how many there were. @throws {SessionStoreError} */
  destroyAll(userId: number): Promise<number> {
    const { prefix } = this.#options;
    return this.#run('destroyAll', () => this.#redis.destroySessionsOf(`${prefix}user:${userId}`, prefix));
  }

  /** The sessions of a user, the one that will run out first first. @throws {SessionStoreError} */
  async sessionsOf(userId: number): Promise<{ handle: string; signedInAt: number }[]> {
    const { prefix } = this.#options;
    const found = await this.#run('list', () => this.#redis.listSessionsOf(`${prefix}user:${userId}`, prefix));
    const sessions = [];
    for (let i = 0; i < found.length; i += 2) {
      const data = parseSession(found[i + 1]!);
      if (data && this.#leftMs(data) > 0) sessions.push({ handle: found[i]!, signedInAt: data.signedInAt });
    }
    return sessions;
  }

  /** How many sessions there are, of all users. @throws {SessionStoreError} */
  count(): Promise<number> {
    return this.#run('count', () => this.#redis.countSessions(`${this.#options.prefix}all`));
  }

  async #read(id: string): Promise<KeptSession | null> {
    const data = parseSession(await this.#redis.hget(this.#key(id), 'data'));
    if (!data || this.#leftMs(data) <= 0) return null;
    this.#stored.add(data);
    return data;
  }

  async #write(id: string, data: SessionData, mode: 'create' | 'update' | 'touch'): Promise<void> {
    if (!isSession(data)) throw new TypeError('a session of nobody is not kept');
    this.#stored.add(data);
    const leftMs = this.#leftMs(data);
    if (leftMs <= 0) return await this.#remove(id);
    const { prefix, idleMs } = this.#options;
    const text = mode === 'touch' ? '' : JSON.stringify(data);
    await this.#redis.writeSession(this.#key(id), prefix, handleOf(id), mode, leftMs, idleMs, text, `${data.userId}`);
  }

  async #remove(id: string): Promise<void> {
    await this.#redis.destroySession(this.#key(id), this.#options.prefix, handleOf(id));
  }

  /** How long a session may now be idle: less and less towards its absolute end. */
  #leftMs({ signedInAt }: KeptSession): number {
    return Math.min(this.#options.idleMs, signedInAt + this.#options.absoluteMs - Date.now());
  }

  #key(id: string): string {
    return `${this.#options.prefix}session:${handleOf(id)}`;
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
      this.#options.observe(command, (performance.now() - startedAt) / 1_000, isAnswered);
    }
  }

  /** express-session speaks in callbacks. */
  #answer<T>(command: string, callback: Callback<T>, work: () => Promise<T>): void {
    void this.#run(command, work).then((value) => callback(null, value), callback);
  }
}
