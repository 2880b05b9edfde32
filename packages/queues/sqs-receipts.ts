/**
 * What can be done with the receipt handle of a message: remove it, or hide it for a time from now. A handle is that of one taking;
 * when somebody else has taken the message meanwhile, it is old.
 */
import { ChangeMessageVisibilityBatchCommand, DeleteMessageBatchCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { hiddenSeconds, inBatches } from './sqs-client.ts';

interface Held {
  readonly receipt: unknown;
}

/** Returns those that SQS refused. A standard queue refuses none: with an old handle it answers as ever, and may remove nothing.
 *  @throws {QueueError} `unavailable` */
export async function remove<T extends Held>(
  client: SQSClient,
  QueueUrl: string,
  messages: readonly T[],
): Promise<T[]> {
  const refused = await inBatches(messages, (entries, options) => {
    const Entries = entries.map(({ Id, item: { receipt } }) => ({ Id, ReceiptHandle: receipt as string }));
    return client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }), options);
  });
  return refused.map(({ item }) => item);
}

/** Returns those whose handle is old. After 0 ms it is there again at once. @throws {QueueError} `unavailable` */
export async function hide<T extends Held>(
  client: SQSClient,
  QueueUrl: string,
  messages: readonly { delivery: T; hiddenMs: number }[],
): Promise<T[]> {
  const refused = await inBatches(messages, (entries, options) => {
    const Entries = entries.map(({ Id, item: { delivery, hiddenMs } }) => ({
      Id,
      ReceiptHandle: delivery.receipt as string,
      VisibilityTimeout: hiddenSeconds(hiddenMs),
    }));
    return client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }), options);
  });
  return refused.map(({ item }) => item.delivery);
}
