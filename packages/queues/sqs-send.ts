/** Puts jobs on a queue of SQS: in batches, and each with what a FIFO queue asks for. */
import { SendMessageBatchCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { encodeJob, type Job, QueueError } from './job.ts';
import { hiddenSeconds, inBatches, messageBody } from './sqs-client.ts';
import type { SqsQueues } from './sqs-queues.ts';

const MAX_DELAY_S = 15 * 60; // [SQS API: SendMessage, DelaySeconds]

export interface SendOptions {
  delayMs?: number;
  /** It was sent before, and shall be there once more. */
  isAgain?: boolean;
}

/** @throws {QueueError} `too-large`, `malformed`, `unsupported`, `unavailable` */
export async function sendJobs(
  client: SQSClient,
  { url, dead: { isFifo } }: SqsQueues,
  jobs: readonly Job[],
  { delayMs = 0, isAgain = false }: SendOptions = {},
): Promise<void> {
  const messages = jobs.map((job) => ({ job, text: encodeJob(job) })); // if one is too large, none is sent
  if (delayMs > (isFifo ? 0 : MAX_DELAY_S * 1_000)) {
    const what = isFifo
      ? 'a delay of a single job in a FIFO queue'
      : `a delay of more than ${MAX_DELAY_S / 60} minutes`;
    throw new QueueError('unsupported', `${what} is not supported by SQS`);
  }
  const refused = await inBatches(messages, (entries, options) => {
    const Entries = entries.map(({ Id, item: { job, text } }) => ({
      Id,
      MessageBody: messageBody(text),
      ...(delayMs > 0 && { DelaySeconds: hiddenSeconds(delayMs) }),
      ...(isFifo && {
        MessageGroupId: job.key ?? job.id,
        // What was seen less than five minutes ago is dropped, without a word: good against a producer that says it twice.
        MessageDeduplicationId: isAgain ? crypto.randomUUID() : job.id,
      }),
    }));
    return client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }), options);
  });
  if (refused[0]) throw new QueueError('malformed', `SQS refuses job ${refused[0].item.job.id}: ${refused[0].why}`);
}
