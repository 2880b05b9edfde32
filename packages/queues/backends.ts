/**
 * The database and the broker of programs run by hand, and their two queues. What the environment names is taken; what it does
 * not name, the server finds or starts, and says how a worker gets to the same.
 */
import { parseArgs } from 'node:util';
import { ConfigError, envInteger } from '@patterns/kit/env';
import { startProcess } from '@patterns/kit/testing/processes';
import { createDatabase } from '@patterns/services/database';
import { redisKeyspace } from '@patterns/services/keyspace';
import { findPostgres } from '@patterns/services/postgres';
import { findRabbitmq } from '@patterns/services/rabbitmq';
import { findRedis } from '@patterns/services/redis';
import { openQueue } from './brokers.ts';
import { NOTIFICATIONS, SUBMISSIONS } from './protocol.ts';
import type { Queue } from './queue.ts';

export type Backends = Readonly<Record<string, string>>;

/** The broker that `--broker` names, among the arguments of this process. Default: redis. */
export function chosenBroker(): string {
  try {
    const { values } = parseArgs({ options: { broker: { type: 'string', default: 'redis' } }, allowPositionals: true });
    return values.broker;
  } catch (error) {
    throw new ConfigError((error as Error).message, { cause: error });
  }
}

export interface FindOptions {
  signal: AbortSignal;
  env?: Readonly<Record<string, string | undefined>>;
  /** Told of each, in a line. */
  say?: (name: string, about: string) => void;
}

/** Finds what the environment does not name. @returns the variables that name it; it goes with the stack. */
export async function findBackends(
  broker: string,
  stack: AsyncDisposableStack,
  { signal, env = process.env, say = () => {} }: FindOptions,
): Promise<Backends> {
  const found: Record<string, string> = {};
  if (!env.DATABASE_URL) {
    const postgres = stack.use(await findPostgres({ signal }));
    say('PostgreSQL', postgres.about);
    found.DATABASE_URL = stack.use(await createDatabase(postgres.url, 'queues')).url;
  }
  if (broker === 'redis' && !env.REDIS_URL) {
    const redis = stack.use(await findRedis({ signal }));
    say('Redis', redis.about);
    found.REDIS_URL = redis.url;
    found.REDIS_PREFIX = stack.use(redisKeyspace(redis.url, 'queues')).prefix;
  }
  if (broker === 'rabbitmq' && !env.AMQP_URL) {
    const rabbitmq = stack.use(await findRabbitmq({ signal }));
    say('RabbitMQ', rabbitmq.about);
    found.AMQP_URL = rabbitmq.url;
  }
  if (broker === 'sqs' && !env.SQS_ENDPOINT && !env.AWS_REGION) {
    const emulator = stack.use(startProcess(new URL('sqs-emulator.ts', import.meta.url), { signal }));
    found.SQS_ENDPOINT = await emulator.url();
    say('SQS', `started fauxqs, an emulator, on ${found.SQS_ENDPOINT}, gone when this ends`);
  }
  return found;
}

/** How another process gets to the same, as the beginning of its command line. */
export function asAssignments(found: Backends): string {
  const { QUEUE_PREFIX, QUEUE_CAPACITY } = process.env; // all who share a queue must agree on these
  const variables = Object.entries({ ...found, QUEUE_PREFIX, QUEUE_CAPACITY });
  return variables.map(([name, value]) => (value ? `${name}='${value}' ` : '')).join('');
}

/**
 * Opens the queue of each kind of work: they are closed with the stack. QUEUE_PREFIX tells apart those who share a broker.
 * @throws {ConfigError}
 */
export async function openQueues(
  broker: string,
  stack: AsyncDisposableStack,
  env: NodeJS.ProcessEnv = process.env,
  capacity = envInteger('QUEUE_CAPACITY', 100_000, { min: 1 }),
) {
  const onProblem = ({ message }: Error) => console.error(`${broker}: ${message}`);
  const open = async (name: string): Promise<Queue> =>
    stack.use(await openQueue(broker, { name: `${env.QUEUE_PREFIX ?? ''}${name}`, capacity, onProblem }, env));
  return { notifications: await open(NOTIFICATIONS), submissions: await open(SUBMISSIONS) };
}
