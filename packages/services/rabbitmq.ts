/**
 * Finds a RabbitMQ, or starts one: AMQP_URL; what docker-compose.yml publishes under its profile `brokers`; the program, where it
 * is installed. A server that AMQP_URL names and that does not answer is an error, and never a reason to take another one.
 */
import { askRabbitmq } from './amqp-handshake.ts';
import { compose, composeRabbitmqUrl } from './compose.ts';
import { extras, findExtra, installCommand } from './extras.ts';
import { announced, type FindOptions, reason, redacted, type Service, ServiceError, urlFromEnv } from './service.ts';
import { startRabbitmq } from './start-rabbitmq.ts';

/** The first whose quorum queues let messages expire, and pass them on without losing any (2022). */
const oldestRabbitmq = '3.10';

/** Where a RabbitMQ would come from. */
export type RabbitmqSource =
  | { from: 'environment'; url: string; version: string }
  | { from: 'compose'; url: string; version: string }
  | { from: 'program'; program: string };

/** Looks, and starts nothing. Throws `invalid-url`, `unreachable`, `too-old`, or `not-installed` with the command. */
export async function locateRabbitmq(options: FindOptions = {}): Promise<RabbitmqSource> {
  const { env = process.env, composePort = compose.rabbitmq.port } = options;
  const given = urlFromEnv(env, 'AMQP_URL', ['amqp:', 'amqps:']);
  if (given) return { from: 'environment', url: given.href, version: await reach(given) };
  const url = composeRabbitmqUrl(composePort);
  // Its password is its identity: another RabbitMQ on that port is somebody else's.
  const version = await askRabbitmq(new URL(url)).catch(() => undefined);
  if (version !== undefined) return { from: 'compose', url, version };
  const program = findExtra('rabbitmq', env);
  if (program !== undefined) return { from: 'program', program };
  const command = installCommand([extras.rabbitmq], env);
  const own = command === undefined ? 'install RabbitMQ' : `run \`${command}\``;
  const other = '`docker compose --profile brokers up -d --wait`, or set AMQP_URL';
  throw new ServiceError('not-installed', `no RabbitMQ: ${own}, or ${other}`);
}

/** A RabbitMQ that answers. Throws a ServiceError whose message says what to do. */
export async function findRabbitmq(options: FindOptions = {}): Promise<Service> {
  const { env = process.env, progress, signal } = options;
  const source = await locateRabbitmq(options);
  signal?.throwIfAborted();
  if (source.from === 'program') {
    const { program } = source;
    const started = startRabbitmq({ env, program, ...(signal && { signal }) });
    return await announced(started, 'starting RabbitMQ (about ten seconds)', progress);
  }
  const { from: origin, url, version } = source;
  const where = origin === 'environment' ? `AMQP_URL ${redacted(url)}` : `docker compose on ${new URL(url).host}`;
  return { url, origin, about: `using ${where}, RabbitMQ ${version}`, async [Symbol.asyncDispose]() {} };
}

async function reach(url: URL): Promise<string> {
  const version = await askRabbitmq(url).catch((error: unknown) => {
    throw new ServiceError(
      'unreachable',
      `AMQP_URL ${redacted(url)} does not answer (${reason(error)}): start that server, or unset AMQP_URL`,
      { cause: error },
    );
  });
  if (version.localeCompare(oldestRabbitmq, 'en', { numeric: true }) >= 0) return version;
  throw new ServiceError('too-old', `AMQP_URL is RabbitMQ ${version}: ${oldestRabbitmq} or newer is needed`);
}
