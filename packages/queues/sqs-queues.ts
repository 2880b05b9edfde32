/** What has to be there on SQS: a queue, and one for its dead letters, which the first one's redrive policy names. */
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { call, sqsClient } from './sqs-client.ts';
import type { SqsDeadLetters } from './sqs-dead-letters.ts';

export interface SqsQueues {
  url: string;
  dead: SqsDeadLetters;
}

/** A net below the worker's own cap: for a job that kills whoever takes it, before a word is said. A job that is given back counts too. */
const MAX_RECEIVES = 100;

/** SQS keeps dead letters from the day on which the job was sent first: as long as it can, two weeks. */
const KEEP_S = 14 * 24 * 60 * 60;

/** Safe to call at the same time as others: with the same attributes the second call finds what the first one made. */
export async function createSqsQueues(client: SQSClient, name: string, fifo: boolean): Promise<SqsQueues> {
  const dead = await create(client, sqsName(`${name}-dead`, fifo), fifo);
  const ask = new GetQueueAttributesCommand({ QueueUrl: dead, AttributeNames: ['QueueArn'] });
  const { Attributes = {} } = await call((options) => client.send(ask, options));
  const url = await create(client, sqsName(name, fifo), fifo, {
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: Attributes.QueueArn, maxReceiveCount: MAX_RECEIVES }),
  });
  return { url, dead: { url: dead, isFifo: fifo, maxReceives: MAX_RECEIVES } };
}

/** Removes both, with all that is in them. */
export async function removeSqsQueues(
  name: string,
  { endpoint, fifo }: { endpoint?: string; fifo: boolean },
): Promise<void> {
  const client = sqsClient(endpoint);
  try {
    for (const QueueName of [sqsName(name, fifo), sqsName(`${name}-dead`, fifo)]) {
      const { QueueUrl = '' } = await call((options) => client.send(new GetQueueUrlCommand({ QueueName }), options));
      await call((options) => client.send(new DeleteQueueCommand({ QueueUrl }), options));
    }
  } finally {
    client.destroy();
  }
}

async function create(client: SQSClient, QueueName: string, fifo: boolean, attributes: Record<string, string> = {}) {
  const Attributes = {
    MessageRetentionPeriod: `${KEEP_S}`,
    // High throughput: limits and duplicates are counted per group, not per queue.
    ...(fifo && { FifoQueue: 'true', DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }),
    ...attributes,
  };
  const { QueueUrl = '' } = await call((options) =>
    client.send(new CreateQueueCommand({ QueueName, Attributes }), options),
  );
  return QueueUrl;
}

/** Letters, digits, - and _, at most 80. [SQS API: CreateQueue] */
function sqsName(name: string, fifo: boolean): string {
  return `${name.replace(/[^\w-]/g, '-')}${fifo ? '.fifo' : ''}`;
}
