/**
 * A Redis (or Valkey) of our own: on 127.0.0.1 and a free port, in a directory of its own, gone when its owner is.
 *
 * It keeps its data in memory only, unless `persist` is set. It has no password: what can reach 127.0.0.1 could read
 * it in our memory as well.
 */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onFreePort } from './free-port.ts';
import { findProgram, output } from './program.ts';
import { type FindOptions, type Service, ServiceError } from './service.ts';
import { type Supervised, supervise } from './supervise.ts';

export const redisPrograms = ['redis-server', 'valkey-server'];

/** Streams with everything that the feed asks of them, and RESP3: Redis 7 (2022), and every Valkey. */
export const oldestRedis = 7;

export interface StartedRedis extends Service, Supervised {
  readonly port: number;
}

export interface StartRedisOptions extends Pick<FindOptions, 'env' | 'signal'> {
  /** The program; found on PATH unless given. */
  program?: string;
  /** Fixed, instead of a free one. */
  port?: number;
  /** Keep the data across `kill` and `restart`, in an append-only file. */
  persist?: boolean;
  /** Further arguments: ['--requirepass', 'secret']. */
  args?: string[];
}

/** Starts a server that answers when this resolves (0.1 s). Throws `not-installed`, `too-old` or `start-failed`. */
export async function startRedis(options: StartRedisOptions = {}): Promise<StartedRedis> {
  const { env = process.env, signal, persist = false, args = [] } = options;
  const program = options.program ?? findProgram(redisPrograms, env);
  if (program === undefined) throw new ServiceError('not-installed', 'no redis-server and no valkey-server on PATH');
  const { name, version } = await redisVersion(program);

  const start = async (port: number): Promise<StartedRedis> => {
    const directory = join(tmpdir(), `patterns-redis-${randomBytes(6).toString('hex')}`);
    const settings = [
      '--bind',
      '127.0.0.1',
      '--port',
      `${port}`,
      '--dir',
      directory,
      '--save',
      '',
      '--daemonize',
      'no',
    ];
    // Each command is written to the file before it is answered, so kill -9 loses nothing. Only a crash of the machine
    // would, and an fsync for that costs every test.
    if (persist) settings.push('--appendonly', 'yes', '--appendfsync', 'no');
    const server = { file: program, args: [...settings, ...args] };
    const supervised = await supervise(
      { directory, server, ready: 'Ready to accept connections', stopSignal: 'SIGKILL' },
      signal && { signal },
    );
    return Object.assign(supervised, {
      url: `redis://127.0.0.1:${port}`,
      port,
      origin: 'started' as const,
      about: `started ${name} ${version} on 127.0.0.1:${port}, gone when this ends`,
    });
  };
  return options.port === undefined ? await onFreePort(start) : await start(options.port);
}

/** Reads "Redis server v=7.0.15 sha=..." or "Valkey server v=8.1.1 ...". */
async function redisVersion(program: string): Promise<{ name: string; version: string }> {
  const [, name = '', version = ''] = /^(\w+) server v=([\d.]+)/.exec(await output(program, ['--version'])) ?? [];
  if (name === 'Redis' && Number.parseInt(version, 10) < oldestRedis) {
    throw new ServiceError('too-old', `${program} is version ${version}: Redis ${oldestRedis} or newer is needed`);
  }
  return { name: `${name.toLowerCase()}-server`, version };
}
