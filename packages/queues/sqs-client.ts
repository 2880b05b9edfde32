/**
 * Calls to SQS: where it is, how long a call may take, and what is left to do when a batch was only taken in part.
 */
import { SQSClient } from '@aws-sdk/client-sqs';
import { QueueError } from './job.ts';

/** Of messages in a call. [SQS API: SendMessageBatch, ReceiveMessage] */
export const SQS_BATCH = 10;

/** Longer than its 99th percentile by far; a call that waits for messages takes its own time on top. */
const CALL_TIMEOUT_MS = 10_000;

/** The longest that SQS hides a message. [SQS API: ChangeMessageVisibility] */
const MAX_HIDDEN_S = 12 * 60 * 60;

/** `endpoint`: an emulator. Without it AWS, with region and credentials where the SDK finds them. */
export function sqsClient(endpoint?: string): SQSClient {
  if (endpoint === undefined) return new SQSClient();
  return new SQSClient({
    endpoint,
    // An emulator gives queue URLs with host names of its own.
    useQueueUrlAsEndpoint: false,
    region: process.env.AWS_REGION ?? 'us-east-1',
    credentials: { accessKeyId: 'emulator', secretAccessKey: 'emulator' },
  });
}

/** @throws {QueueError} `unavailable` */
export async function call<T>(
  send: (options: { abortSignal: AbortSignal }) => Promise<T>,
  { waitMs = 0, signal }: { waitMs?: number; signal?: AbortSignal | undefined } = {},
): Promise<T> {
  const timeout = AbortSignal.timeout(CALL_TIMEOUT_MS + waitMs);
  try {
    return await send({ abortSignal: signal ? AbortSignal.any([timeout, signal]) : timeout });
  } catch (cause) {
    throw new QueueError('unavailable', `SQS did not answer as expected: ${(cause as Error).message}`, { cause });
  }
}

interface BatchAnswer {
  Failed?: { Id?: string | undefined; SenderFault?: boolean | undefined; Message?: string | undefined }[] | undefined;
}

/** How often what failed by no fault of ours is said again. */
const BATCH_ATTEMPTS = 3;

/**
 * Sends `items` in batches of ten, one after the other. A batch answers 200 though some of it failed: what failed on SQS' side is
 * sent again. Returns what was refused for good, with the reason.
 * @throws {QueueError} `unavailable`
 */
export async function inBatches<T>(
  items: readonly T[],
  send: (entries: { Id: string; item: T }[], options: { abortSignal: AbortSignal }) => Promise<BatchAnswer>,
): Promise<{ item: T; why: string }[]> {
  const refused: { item: T; why: string }[] = [];
  for (let at = 0; at < items.length; at += SQS_BATCH) {
    let entries = items.slice(at, at + SQS_BATCH).map((item, n) => ({ Id: `${n}`, item }));
    for (let attempt = 1; entries.length > 0; attempt++) {
      const { Failed = [] } = await call((options) => send(entries, options));
      const again: typeof entries = [];
      for (const { Id, SenderFault, Message = 'no reason given' } of Failed) {
        const entry = entries.find((each) => each.Id === Id);
        if (!entry) continue;
        if (SenderFault) refused.push({ item: entry.item, why: Message });
        else again.push(entry);
      }
      if (again.length > 0 && attempt === BATCH_ATTEMPTS) {
        throw new QueueError('unavailable', `SQS failed ${again.length} of ${entries.length} in a batch`);
      }
      entries = again;
    }
  }
  return refused;
}

/** SQS counts in whole seconds. Rounded up: nothing comes earlier than it should. */
export function hiddenSeconds(ms: number): number {
  return Math.min(MAX_HIDDEN_S, Math.ceil(ms / 1_000));
}

/** SQS takes what XML 1.0 can carry. [SQS API: SendMessage] The two that JSON would leave as they are, it can write otherwise. */
export function messageBody(json: string): string {
  return json.replace(/[\uFFFE\uFFFF]/g, (each) => `\\u${each.charCodeAt(0).toString(16)}`);
}
