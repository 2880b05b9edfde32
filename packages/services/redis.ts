/**
 * Finds a Redis, or starts one: REDIS_URL; what docker-compose.yml publishes; a program on PATH; one that apt installs.
 * A server that REDIS_URL names and that does not answer is an error, and never a reason to take another one.
 */
import { Redis } from 'ioredis';
import { aptInstall } from './apt.ts';
import { compose, composeRedisUrl } from './compose.ts';
import { extras, findExtra, installCommand, packageManager } from './extras.ts';
import { announced, type FindOptions, reason, redacted, type Service, ServiceError, urlFromEnv } from './service.ts';
import { oldestRedis, startRedis } from './start-redis.ts';

/** Where a Redis would come from. */
export type RedisSource =
  | { from: 'environment'; url: string; version: string }
  | { from: 'compose'; url: string; version: string }
  | { from: 'program'; program: string }
  | { from: 'apt' };

/** Looks, and changes nothing. Throws `invalid-url`, `unreachable`, `too-old`, or `not-installed` with the command. */
export async function locateRedis(options: FindOptions = {}): Promise<RedisSource> {
  const { env = process.env, composePort = compose.redis.port } = options;
  const given = urlFromEnv(env, 'REDIS_URL', ['redis:', 'rediss:']);
  if (given) return { from: 'environment', url: given.href, version: await reach(given) };
  const url = composeRedisUrl(composePort);
  const version = await askCompose(composePort);
  if (version !== undefined) return { from: 'compose', url, version };
  const program = findExtra('redis', env);
  if (program !== undefined) return { from: 'program', program };
  if (process.getuid?.() === 0 && packageManager(env) === 'apt-get') return { from: 'apt' };
  const command = installCommand([extras.redis], env);
  const own = command === undefined ? 'install Redis 7 or newer' : `run \`${command}\``;
  throw new ServiceError('not-installed', `no Redis: ${own}, or \`docker compose up -d --wait\`, or set REDIS_URL`);
}

/** A Redis that answers. Throws a ServiceError whose message says what to do. */
export async function findRedis(options: FindOptions = {}): Promise<Service> {
  const { env = process.env, progress, signal } = options;
  const source = await locateRedis(options);
  signal?.throwIfAborted();
  if (source.from === 'environment' || source.from === 'compose') {
    const { from: origin, url, version } = source;
    const where = origin === 'environment' ? `REDIS_URL ${redacted(url)}` : `docker compose on ${new URL(url).host}`;
    return { url, origin, about: `using ${where}, Redis ${version}`, async [Symbol.asyncDispose]() {} };
  }
  if (source.from === 'apt') {
    progress?.('no Redis on this machine: running apt-get install redis-server (not started as a service)');
    await aptInstall([extras.redis.packages['apt-get']], { env });
  }
  return await announced(startRedis({ env, ...(signal && { signal }) }), 'starting Redis', progress);
}

async function reach(url: URL): Promise<string> {
  const version = await ask(url.href).catch((error: unknown) => {
    throw new ServiceError(
      'unreachable',
      `REDIS_URL ${redacted(url)} does not answer (${reason(error)}): start that server, or unset REDIS_URL`,
      { cause: error },
    );
  });
  if (Number.parseInt(version, 10) >= oldestRedis) return version;
  throw new ServiceError('too-old', `REDIS_URL is Redis ${version}: ${oldestRedis} or newer is needed`);
}

/** A Redis that wants no password accepts ours as well, and is somebody else's: first it must refuse us without one. */
async function askCompose(port: number): Promise<string | undefined> {
  const refusal = await ask(`redis://127.0.0.1:${port}`).then(() => '', reason);
  if (!refusal.startsWith('NOAUTH')) return undefined;
  return await ask(composeRedisUrl(port)).catch(() => undefined);
}

// A server on this machine answers in milliseconds, one across an ocean in half a second.
const answerMs = 2_000;

/** The version of a server that answers. (Valkey tells the version of the Redis that it is compatible with.) */
async function ask(url: string): Promise<string> {
  const redis = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: answerMs,
    commandTimeout: answerMs,
  });
  let cause: unknown;
  redis.on('error', (error) => {
    cause = error; // what follows is only "Connection is closed."
  });
  try {
    return /^redis_version:(.+)$/m.exec(await redis.info('server'))?.[1]?.trim() ?? '';
  } catch (error) {
    throw cause ?? error;
  } finally {
    redis.disconnect();
  }
}
