/** The guarantees on a real RabbitMQ: one that is found, or one that is started for this file. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { findRabbitmq } from '@patterns/services/rabbitmq';
import type { Service } from '@patterns/services/service';
import type { StartedRabbitmq } from '@patterns/services/start-rabbitmq';
import { requireRabbitmq } from '@patterns/services/testing';
import { type ConfirmChannel, connect } from 'amqplib';
import { afterAll, beforeAll } from 'vitest';
import type { Queue, QueueOptions } from '../queue.ts';
import { RABBITMQ_GUARANTEES } from '../rabbitmq-guarantees.ts';
import { openRabbitmqQueue } from '../rabbitmq-queue.ts';
import { deleteQueues } from '../rabbitmq-topology.ts';
import { guaranteesOf, type QueueRig } from './guarantees.ts';

/** Six seconds on a quiet machine, half a minute the first time on a busy one. */
const START_MS = 90_000;

const describeRabbitmq = await requireRabbitmq();

describeRabbitmq('rabbitmq', () => {
  let rabbitmq: Service;
  /** Of the clauses that need a broker that stays: the one that kills it waits for their end. */
  const working = new Set<Promise<void>>();

  beforeAll(async () => {
    rabbitmq = await findRabbitmq();
  }, START_MS);
  afterAll(() => rabbitmq?.[Symbol.asyncDispose]());

  /** RabbitMQ 3.10 writes the names of its quorum queues a second late: one that it does not find there again has no leader, for ever. */
  async function isOnDisk(queueName: string): Promise<void> {
    if (rabbitmq.origin !== 'started') return;
    const quorum = join((rabbitmq as StartedRabbitmq).directory, 'data/patterns@localhost/quorum');
    const names = join(quorum, 'patterns@localhost', 'names.dets');
    await until('the name of the queue on disk', async () => (await readFile(names)).includes(queueName));
  }

  async function startRig(clause: string): Promise<QueueRig> {
    const stack = new AsyncDisposableStack();
    const { url } = rabbitmq;
    const queueName = `patterns.test.${crypto.randomUUID()}`;
    const onBroker = async (work: (channel: ConfirmChannel) => Promise<unknown>) => {
      const connection = await connect(url);
      connection.on('error', () => {});
      await work(await connection.createConfirmChannel());
      await connection.close();
    };
    // One of our own is gone soon, with all its queues.
    if (rabbitmq.origin !== 'started') stack.defer(() => onBroker((channel) => deleteQueues(channel, queueName)));
    if (clause === 'survives-restart') {
      const early = await openRabbitmqQueue({ name: queueName, url });
      await early[Symbol.asyncDispose]();
      await Promise.all(working);
      await isOnDisk(queueName);
    } else {
      const { promise, resolve } = Promise.withResolvers<void>();
      working.add(promise);
      stack.defer(resolve);
    }
    const proxy = stack.use(await startFaultProxy(url));
    return {
      queueName,
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
      // Only one that is ours.
      ...(rabbitmq.origin === 'started' && {
        async restart() {
          const ours = rabbitmq as StartedRabbitmq;
          await ours.kill('SIGKILL');
          await ours.restart();
        },
      }),
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

  guaranteesOf({ name: 'rabbitmq', guarantees: RABBITMQ_GUARANTEES, start: startRig });
});
