/**
 * A RabbitMQ of our own: on 127.0.0.1 and free ports, with a random password, in a directory of its own, gone when its owner is.
 * Ten seconds, most of them Erlang's.
 *
 * What surprises: it is four programs. A script starts Erlang, which starts helpers, and `epmd`, a name service that would go into
 * the background, listen on every address and outlive them all. So Erlang is told not to start one, and ours runs beside it.
 */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extras, findExtra } from './extras.ts';
import { freePort, onFreePort } from './free-port.ts';
import { type FindOptions, type Service, ServiceError } from './service.ts';
import { type Supervised, supervise } from './supervise.ts';

export interface StartedRabbitmq extends Service, Supervised {
  readonly port: number;
}

export interface StartRabbitmqOptions extends Pick<FindOptions, 'env' | 'signal'> {
  /** The program; found unless given. */
  program?: string;
}

// epmd first: Erlang registers its node there. Both are in one process group, and end together.
const script = 'epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 >/dev/null 2>&1 & exec "$0"';

/** Starts one that answers when this resolves. What was confirmed survives `kill` and `restart`. Throws `not-installed` or
 *  `start-failed`. */
export async function startRabbitmq(options: StartRabbitmqOptions = {}): Promise<StartedRabbitmq> {
  const { env = process.env, signal } = options;
  const program = options.program ?? findExtra('rabbitmq', env);
  if (program === undefined) throw new ServiceError('not-installed', `no ${extras.rabbitmq.programs[1]} to be found`);
  const password = randomBytes(12).toString('hex');

  return await onFreePort(async (port) => {
    const [distributionPort, epmdPort] = [await freePort(), await freePort()];
    const directory = join(tmpdir(), `patterns-rabbitmq-${randomBytes(6).toString('hex')}`);
    const within = (name: string) => join(directory, name);
    const settings = [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      'default_user = patterns',
      `default_pass = ${password}`,
      'log.console = true',
      'log.file = false',
    ];
    const supervised = await supervise(
      {
        directory,
        files: { 'rabbitmq.conf': `${settings.join('\n')}\n`, plugins: '[].\n', 'env.conf': '' },
        server: {
          file: '/bin/sh',
          args: ['-c', script, program],
          env: {
            HOME: directory, // Erlang's cookie, the secret between nodes, is made there
            // No file of the system's own installation is read or written.
            RABBITMQ_CONF_ENV_FILE: within('env.conf'),
            RABBITMQ_CONFIG_FILE: within('rabbitmq.conf'),
            RABBITMQ_ENABLED_PLUGINS_FILE: within('plugins'),
            RABBITMQ_MNESIA_BASE: within('data'),
            RABBITMQ_LOG_BASE: within('log'),
            RABBITMQ_PID_FILE: within('pid'),
            RABBITMQ_NODENAME: 'patterns@localhost',
            RABBITMQ_DIST_PORT: `${distributionPort}`,
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
            ERL_EPMD_PORT: `${epmdPort}`,
            ERL_EPMD_ADDRESS: '127.0.0.1',
            ERL_AFLAGS: '-start_epmd false', // for each Erlang that the script starts
          },
        },
        ready: 'Server startup complete',
        stopSignal: 'SIGKILL', // nobody needs its data after it
      },
      signal && { signal },
    );
    return Object.assign(supervised, {
      url: `amqp://patterns:${password}@127.0.0.1:${port}`,
      port,
      origin: 'started' as const,
      about: `started RabbitMQ on 127.0.0.1:${port}, gone when this ends`,
    });
  });
}
