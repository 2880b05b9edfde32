/**
 * The brokers by their names. Each is loaded when it is asked for: a worker on Redis needs no SDK for SQS.
 */
import { ConfigError } from '@patterns/kit/env';
import { nearest } from '@patterns/kit/nearest';
import type { Queue, QueueOptions } from './queue.ts';

export const BROKERS = ['redis', 'postgres', 'rabbitmq', 'sqs'] as const;
export type Broker = (typeof BROKERS)[number];

type Env = Readonly<Record<string, string | undefined>>;

const open: Record<Broker, (options: QueueOptions, env: Env) => Promise<Queue>> = {
  async redis(options, env) {
    const { openRedisQueue } = await import('./redis-queue.ts');
    return await openRedisQueue({ ...options, url: read(env, 'REDIS_URL'), prefix: env.REDIS_PREFIX ?? 'queues:' });
  },
  async postgres(options, env) {
    const { openPostgresQueue } = await import('./postgres-queue.ts');
    return await openPostgresQueue({ ...options, url: read(env, 'DATABASE_URL') });
  },
  async rabbitmq(options, env) {
    const { openRabbitmqQueue } = await import('./rabbitmq-queue.ts');
    return await openRabbitmqQueue({ ...options, url: read(env, 'AMQP_URL') });
  },
  async sqs(options, env) {
    const { openSqsQueue } = await import('./sqs-queue.ts');
    return await openSqsQueue({ ...options, ...sqsOptions(env) });
  },
};

/** Opens a queue where the environment says that the broker is. @throws {ConfigError} */
export async function openQueue(broker: string, options: QueueOptions, env: Env): Promise<Queue> {
  if (isBroker(broker)) return await open[broker](options, env);
  const meant = nearest(broker, BROKERS);
  const hint = meant ? `did you mean ${meant}?` : `there are ${BROKERS.join(', ')}`;
  throw new ConfigError(`there is no broker "${broker}": ${hint}`);
}

/** Removes a queue and all that is in it from a broker that keeps queues by themselves: Redis' and PostgreSQL's go with prefix and database. */
export async function removeQueue(broker: string, name: string, env: Env): Promise<void> {
  if (broker === 'rabbitmq') await (await import('./rabbitmq-topology.ts')).removeQueues(read(env, 'AMQP_URL'), name);
  if (broker === 'sqs') await (await import('./sqs-queues.ts')).removeSqsQueues(name, sqsOptions(env));
}

export function isBroker(name: string): name is Broker {
  return Object.hasOwn(open, name);
}

function sqsOptions(env: Env): { fifo: boolean; endpoint?: string } {
  const fifo = env.SQS_FIFO === '1';
  // With a region and no endpoint it is AWS' own; the SDK finds the credentials.
  if (env.AWS_REGION && !env.SQS_ENDPOINT) return { fifo };
  return { fifo, endpoint: read(env, 'SQS_ENDPOINT') };
}

function read(env: Env, name: string): string {
  const url = env[name];
  if (!url) throw new ConfigError(`${name} is not set: it says where the broker is`);
  // It may hold a password: it is never printed.
  if (!URL.canParse(url)) throw new ConfigError(`${name} is not a URL`);
  return url;
}
