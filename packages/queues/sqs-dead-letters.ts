/**
 * The queue of what was set aside. SQS' redrive policy would move a job there by itself, without a word why: so we do it,
 * and leave the policy as a net below for jobs whose worker never gets to say anything.
 *
 * There is no looking without taking: what is looked at is hidden meanwhile, and shown again.
 */
import {
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { decodeJob, type Job } from './job.ts';
import type { DeadJob } from './queue.ts';
import { call, inBatches, messageBody, SQS_BATCH } from './sqs-client.ts';
import { hide, remove } from './sqs-receipts.ts';

/** Long enough to copy what is there; what is left of it after a crash is back after that. */
const LOOK_S = 30;
/** Any wait asks all of SQS' servers; without one a message that is there may be missed. [SQS guide: short and long polling] */
const ASK_ALL_S = 1;

export interface SetAside {
  text: string;
  attempts: number;
  reason: string;
}

export interface SqsDeadLetters {
  url: string;
  isFifo: boolean;
  /** After so many receives SQS moves a job there itself. */
  maxReceives: number;
}

export async function setAside(client: SQSClient, { url, isFifo }: SqsDeadLetters, jobs: SetAside[]): Promise<void> {
  const refused = await inBatches(jobs, (entries, options) =>
    client.send(
      new SendMessageBatchCommand({
        QueueUrl: url,
        Entries: entries.map(({ Id, item: { text, attempts, reason } }) => ({
          Id,
          MessageBody: messageBody(text),
          MessageAttributes: {
            // An attribute must not be empty.
            reason: { DataType: 'String', StringValue: messageBody(reason).slice(0, 1_000) || 'none given' },
            attempts: { DataType: 'Number', StringValue: `${attempts}` },
          },
          ...(isFifo && { MessageGroupId: crypto.randomUUID(), MessageDeduplicationId: crypto.randomUUID() }),
        })),
      }),
      options,
    ),
  );
  if (refused[0]) throw new Error(`SQS refused a dead job: ${refused[0].why}`);
}

export interface DeadMessage extends DeadJob {
  sentAt: number;
  receipt: string;
}

/** Calls `use` with what is there, the oldest first, and shows it again, unless `use` returns it: then it is deleted. */
export async function look(
  client: SQSClient,
  letters: SqsDeadLetters,
  limit: number,
  use: (found: DeadMessage[]) => Promise<DeadMessage[]>,
): Promise<void> {
  const QueueUrl = letters.url;
  const there = Math.min(limit, await count(client, QueueUrl));
  const found: DeadMessage[] = [];
  while (found.length < there) {
    const receive = new ReceiveMessageCommand({
      QueueUrl,
      MaxNumberOfMessages: Math.min(SQS_BATCH, there - found.length),
      VisibilityTimeout: LOOK_S,
      WaitTimeSeconds: ASK_ALL_S,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['SentTimestamp'],
    });
    const { Messages = [] } = await call((options) => client.send(receive, options), { waitMs: ASK_ALL_S * 1_000 });
    if (Messages.length === 0) break; // somebody else looks, or the count was not up to date
    found.push(...Messages.map((message) => deadMessage(message, letters)));
  }
  found.sort((a, b) => a.sentAt - b.sentAt);
  const gone = await use(found);
  await remove(client, QueueUrl, gone);
  const kept = found.filter((each) => !gone.includes(each));
  await hide(
    client,
    QueueUrl,
    kept.map((delivery) => ({ delivery, hiddenMs: 0 })),
  );
}

/** How many are there, as far as SQS knows. */
async function count(client: SQSClient, QueueUrl: string): Promise<number> {
  const ask = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['ApproximateNumberOfMessages'] });
  const { Attributes = {} } = await call((options) => client.send(ask, options));
  return Number(Attributes.ApproximateNumberOfMessages);
}

function deadMessage(message: Message, { maxReceives }: SqsDeadLetters): DeadMessage {
  const { Body: text = '', MessageAttributes = {}, Attributes = {}, ReceiptHandle: receipt = '' } = message;
  let job: Job | undefined;
  try {
    job = decodeJob(text);
  } catch {
    // Its reason says so.
  }
  return {
    id: job?.id ?? message.MessageId ?? '',
    ...(job && { job }),
    text,
    attempts: Number(MessageAttributes.attempts?.StringValue ?? maxReceives),
    reason: MessageAttributes.reason?.StringValue ?? `taken more than ${maxReceives} times, and nobody said why`,
    sentAt: Number(Attributes.SentTimestamp),
    receipt,
  };
}
