/** A queue of its own on a RabbitMQ that the test file shares, behind a line that can be cut. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import type { Service } from '@patterns/services/service';
import type { StartedRabbitmq } from '@patterns/services/start-rabbitmq';
import { type ConfirmChannel, connect } from 'amqplib';
import type { Clause, Queue, QueueOptions } from '../queue.ts';
import { openRabbitmqQueue } from '../rabbitmq-queue.ts';
import { removeQueues } from '../rabbitmq-topology.ts';
import type { QueueRig } from './guarantees.ts';

/** Of the clauses that need a broker that stays: the one that kills it waits for their end. */
const working = new Set<Promise<void>>();

export interface RabbitmqRig extends QueueRig {
  /** Does something on a channel of somebody else's. */
  onBroker(work: (channel: ConfirmChannel) => Promise<unknown>): Promise<void>;
}

export async function startRabbitmqRig(rabbitmq: Service, clause?: Clause): Promise<RabbitmqRig> {
  const stack = new AsyncDisposableStack();
  const { url } = rabbitmq;
  const queueName = `patterns.test.${crypto.randomUUID()}`;
  // One of our own is gone soon, with all its queues.
  if (rabbitmq.origin !== 'started') stack.defer(() => removeQueues(url, queueName));
  const ours = rabbitmq.origin === 'started' ? (rabbitmq as StartedRabbitmq) : undefined;
  if (clause === 'survives-restart') {
    const early = await openRabbitmqQueue({ name: queueName, url });
    await early[Symbol.asyncDispose]();
    await Promise.all(working);
    if (ours) await isOnDisk(ours, queueName);
  } else {
    const { promise, resolve } = Promise.withResolvers<void>();
    working.add(promise);
    stack.defer(resolve);
  }
  const proxy = stack.use(await startFaultProxy(url));
  const onBroker: RabbitmqRig['onBroker'] = async (work) => {
    const connection = await connect(url);
    connection.on('error', () => {});
    await work(await connection.createConfirmChannel());
    await connection.close();
  };
  return {
    queueName,
    onBroker,
    async open(options: Partial<QueueOptions> = {}): Promise<Queue> {
      return stack.use(await openRabbitmqQueue({ name: queueName, url: proxy.url, ...options }));
    },
    enqueueRaw: (text) =>
      onBroker(async (channel) => {
        channel.sendToQueue(queueName, Buffer.from(text));
        await channel.waitForConfirms();
      }),
    async whileCut(work) {
      proxy.refuse();
      proxy.cut();
      await work();
      proxy.accept();
    },
    restart: ours && (() => ours.kill('SIGKILL').then(() => ours.restart())),
    startStuckWorker: (leaseMs) =>
      stack.use(
        startProcess(new URL('stuck-worker.ts', import.meta.url), {
          args: ['rabbitmq', queueName, `${leaseMs}`],
          env: { AMQP_URL: url },
        }),
      ),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** RabbitMQ 3.10 writes the names of its quorum queues a second late: one that it does not find there again has no leader, for ever. */
async function isOnDisk({ directory }: StartedRabbitmq, queueName: string): Promise<void> {
  const names = join(directory, 'data/patterns@localhost/quorum/patterns@localhost/names.dets');
  await until('the name of the queue on disk', async () => (await readFile(names)).includes(queueName));
}
