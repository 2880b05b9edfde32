/**
 * Takes messages from a queue of SQS. One call brings ten at most, and waits whole seconds, up to twenty.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Message, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { decodeJob } from './job.ts';
import type { Delivery, TakeOptions } from './queue.ts';
import { call, hiddenSeconds, SQS_BATCH } from './sqs-client.ts';
import type { SetAside } from './sqs-dead-letters.ts';
import type { SqsQueues } from './sqs-queues.ts';

const MAX_WAIT_S = 20; // [SQS API: ReceiveMessage, WaitTimeSeconds]

export interface ReceiveOptions extends TakeOptions {
  onProblem: (problem: Error) => void;
}

/** What is there, after `waitMs` at most. When `signal` aborts the line is cut: SQS sends nothing to who has hung up.
 *  @throws {QueueError} `unavailable` */
export async function receive(client: SQSClient, queues: SqsQueues, options: ReceiveOptions): Promise<Message[]> {
  const { waitMs = 5_000, signal } = options;
  const deadline = performance.now() + waitMs;
  while (!signal?.aborted) {
    const leftMs = Math.max(0, deadline - performance.now());
    try {
      const messages = await ask(client, queues, Math.min(MAX_WAIT_S, Math.floor(leftMs / 1_000)), options);
      if (messages.length > 0 || leftMs === 0) return messages;
      // Of what is less than a second we keep the time ourselves, and ask once more.
      const restMs = deadline - performance.now();
      if (restMs > 0 && restMs < 1_000) await pause(restMs, undefined, signal && { signal });
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  }
  return [];
}

async function ask(
  client: SQSClient,
  queues: SqsQueues,
  waitS: number,
  { limit, leaseMs, signal, onProblem }: ReceiveOptions,
): Promise<Message[]> {
  // A FIFO queue would fill the batch from one group: jobs of one key, in hand at the same time.
  const most = queues.dead.isFifo ? 1 : SQS_BATCH;
  const receiveUpTo = async (wanted: number, WaitTimeSeconds: number) => {
    const command = new ReceiveMessageCommand({
      QueueUrl: queues.url,
      MaxNumberOfMessages: Math.min(wanted, most),
      VisibilityTimeout: Math.max(1, hiddenSeconds(leaseMs)),
      WaitTimeSeconds,
      MessageSystemAttributeNames: ['ApproximateReceiveCount'],
    });
    const waitMs = WaitTimeSeconds * 1_000;
    const { Messages = [] } = await call((options) => client.send(command, options), { waitMs, signal });
    return Messages;
  };
  const messages = await receiveUpTo(limit, waitS);
  if (messages.length < most) return messages;
  // There may be more: the rest is asked for at once, without waiting.
  const more = Array.from({ length: Math.ceil(limit / most) - 1 }, (_, n) => receiveUpTo(limit - most * (n + 1), 0));
  // What some of the calls brought is not given up because another one failed.
  for (const answer of await Promise.allSettled(more)) {
    if (answer.status === 'fulfilled') messages.push(...answer.value);
    else onProblem(answer.reason as Error);
  }
  return messages;
}

/** What of it is no job goes to the dead letters. */
export function decode(messages: readonly Message[]) {
  const deliveries: Delivery[] = [];
  const malformed: (SetAside & { receipt: string })[] = [];
  for (const { Body: text = '', ReceiptHandle: receipt = '', Attributes } of messages) {
    const attempt = Number(Attributes?.ApproximateReceiveCount ?? 1);
    try {
      deliveries.push({ job: decodeJob(text), attempt, receipt });
    } catch (error) {
      malformed.push({ text, attempts: attempt, reason: (error as Error).message, receipt });
    }
  }
  return { deliveries, malformed };
}
