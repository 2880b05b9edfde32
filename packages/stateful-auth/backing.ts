/**
 * What stands behind a server, opened and put together: users in PostgreSQL, sessions and the login limit in Redis.
 */
import type { Certificate } from '@patterns/kit/certificate';
import type { Log } from '@patterns/kit/log';
import { openPool } from './database.ts';
import { limitLogins } from './login-limit.ts';
import { createMetrics } from './metrics.ts';
import { COST, type Cost, createHasher } from './password.ts';
import { type Credentials, DEMO_USER, sessionCookie } from './protocol.ts';
import { attempted, connectRedis } from './redis-connection.ts';
import { RedisSessionStore } from './session-store.ts';
import { createSessions } from './sessions.ts';
import { Users } from './users.ts';

export interface BackingOptions {
  redisUrl: string;
  /** Before every key. Servers with the same prefix share their sessions. */
  redisPrefix?: string;
  databaseUrl: string;
  /** The first one signs cookies, each of them verifies. The same at all servers. */
  secrets: readonly string[];
  log: Log;
  /** Speak TLS ourselves. */
  tls?: Certificate | undefined;
  /** Proxies in front of us, each of which adds to X-Forwarded-For and X-Forwarded-Proto. One too many, and a client says itself which
   *  address it has; one too few, and nobody gets a cookie. */
  trustProxy?: number;
  /** 30 min without a request: a terminal left alone over lunch. */
  idleMs?: number;
  /** 12 h since the login, whatever happens: a working day. */
  absoluteMs?: number;
  /** Tries to log in within 15 minutes: for one account from one address, until one succeeds; and from one address. */
  loginAttempts?: { perAccount: number; perAddress: number };
  /** Of a password's digest: as much as the machine can bear, and never less than the default. */
  passwordCost?: Cost;
  /** Created at start, unless there is one of that name. */
  demoUser?: Credentials;
}

export type Backing = Awaited<ReturnType<typeof openBacking>>;

/** Opens everything onto `stack`. Without Redis, too: it goes on trying to connect, and its users are told. */
export async function openBacking(
  stack: AsyncDisposableStack,
  {
    redisUrl,
    redisPrefix = 'patterns:stateful-auth:',
    databaseUrl,
    secrets,
    log,
    tls,
    trustProxy = 0,
    idleMs = 30 * 60_000,
    absoluteMs = 12 * 3_600_000,
    loginAttempts = { perAccount: 5, perAddress: 100 },
    passwordCost = COST,
    demoUser = DEMO_USER,
  }: BackingOptions,
) {
  const metrics = createMetrics();
  const pool = stack.adopt(openPool(databaseUrl), (pool) => pool.end());
  const users = await Users.open(pool, createHasher({ cost: passwordCost, onHash: () => metrics.hashes.inc() }));
  await users.create(demoUser, ['dark mode', 'notifications on']);

  const onError = (error: Error) => log.warn('redis', { error });
  const redis = stack.adopt(connectRedis(redisUrl, { onError }), (redis) => redis.disconnect());
  await attempted(redis);
  const store = new RedisSessionStore({
    redis,
    prefix: redisPrefix,
    idleMs,
    absoluteMs,
    observe(command, seconds, isAnswered) {
      metrics.storeSeconds.observe({ command }, seconds);
      if (!isAnswered) metrics.storeErrors.inc({ command });
    },
  });
  metrics.watchSessions(store);

  const cookie = sessionCookie({ secure: tls !== undefined || trustProxy > 0 });
  return {
    metrics,
    users,
    redis,
    store,
    cookie,
    sessions: createSessions({ store, cookie, secrets, idleMs, metrics, log }),
    loginLimit: limitLogins({ redis, prefix: redisPrefix, ...loginAttempts, metrics }),
  };
}
