/** A queue of its own on an emulator that the test file shares, behind a line that can be cut. */
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import type { Clause, Queue, QueueOptions } from '../queue.ts';
import { sqsClient } from '../sqs-client.ts';
import { openSqsQueue } from '../sqs-queue.ts';
import { createSqsQueues } from '../sqs-queues.ts';
import type { QueueRig } from './guarantees.ts';

export interface SqsRigOptions {
  fifo: boolean;
  clause?: Clause;
}

export async function startSqsRig(shared: string, { fifo, clause }: SqsRigOptions): Promise<QueueRig> {
  const stack = new AsyncDisposableStack();
  // The one that is killed is a process of its own, and serves nobody else.
  const start = (port = 0) =>
    stack.use(startProcess(new URL('../sqs-emulator.ts', import.meta.url), { env: { PORT: `${port}` } }));
  let own = clause === 'survives-restart' ? start() : undefined;
  const endpoint = (await own?.url()) ?? shared;
  const queueName = `test-${crypto.randomUUID()}`;
  const proxy = stack.use(await startFaultProxy(endpoint));
  return {
    queueName,
    async open(options: Partial<QueueOptions> = {}): Promise<Queue> {
      return stack.use(await openSqsQueue({ name: queueName, endpoint: proxy.url, fifo, ...options }));
    },
    async enqueueRaw(MessageBody) {
      const client = sqsClient(endpoint);
      const { url: QueueUrl } = await createSqsQueues(client, queueName, fifo);
      const group = { MessageGroupId: 'raw', MessageDeduplicationId: crypto.randomUUID() };
      await client.send(new SendMessageCommand({ QueueUrl, MessageBody, ...(fifo && group) }));
      client.destroy();
    },
    async whileCut(work) {
      proxy.refuse();
      proxy.cut();
      await work();
      proxy.accept();
    },
    async restart() {
      await own?.kill('SIGKILL');
      own = start(Number(new URL(endpoint).port));
      await own.url();
    },
    startStuckWorker: (leaseMs) =>
      stack.use(
        startProcess(new URL('stuck-worker.ts', import.meta.url), {
          args: [fifo ? 'sqs-fifo' : 'sqs', queueName, `${leaseMs}`],
          env: { SQS_ENDPOINT: endpoint },
        }),
      ),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
