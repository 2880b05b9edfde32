/** A worker that takes one job and never settles it: `node stuck-worker.ts <broker> <queue name> <lease in ms>`, its broker from env. */
import { main } from '@patterns/kit/main';
import type { Queue, QueueOptions } from '../queue.ts';

/** Loaded when it is asked for: the clients of all the brokers would take a second. */
const open: Record<string, (options: QueueOptions, env: Record<string, string | undefined>) => Promise<Queue>> = {
  redis: async (options, { REDIS_URL: url = '', REDIS_PREFIX: prefix = '' }) =>
    (await import('../redis-queue.ts')).openRedisQueue({ url, prefix, ...options }),
  postgres: async (options, { DATABASE_URL: url = '' }) =>
    (await import('../postgres-queue.ts')).openPostgresQueue({ url, ...options }),
  'postgres-transaction': async (options, { DATABASE_URL: url = '' }) =>
    (await import('../postgres-queue.ts')).openPostgresQueue({ url, hold: 'transaction', ...options }),
  rabbitmq: async (options, { AMQP_URL: url = '' }) =>
    (await import('../rabbitmq-queue.ts')).openRabbitmqQueue({ url, ...options }),
  sqs: async (options, { SQS_ENDPOINT: endpoint = '' }) =>
    (await import('../sqs-queue.ts')).openSqsQueue({ endpoint, ...options }),
  'sqs-fifo': async (options, { SQS_ENDPOINT: endpoint = '' }) =>
    (await import('../sqs-queue.ts')).openSqsQueue({ endpoint, fifo: true, ...options }),
};

await main(async (stack, signal) => {
  const [broker = '', name = '', leaseMs = ''] = process.argv.slice(2);
  const queue = stack.use(await open[broker]!({ name }, process.env));
  while (!signal.aborted) {
    const [delivery] = await queue.take({ limit: 1, leaseMs: Number(leaseMs), signal });
    if (!delivery) continue;
    console.log(`has ${delivery.job.id} ${delivery.attempt}`);
    await new Promise((_, reject) => signal.addEventListener('abort', reject));
  }
});
