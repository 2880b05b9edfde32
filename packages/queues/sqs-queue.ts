/**
 * The queue on Amazon SQS, or on what speaks its protocol.
 *
 * SQS has the lease built in (the visibility timeout), and everything else in its own measure: whole seconds, batches of ten, a delay
 * of 15 minutes, a lease of 12 hours. Numbers that it gives are approximate. A queue whose name ends in `.fifo` keeps the order
 * per key, takes a job with the same id only once in five minutes, and cannot delay a single job.
 */
import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { encodeJob, type Job, QueueError } from './job.ts';
import type { DeadJob, Delivery, Depth, EnqueueOptions, Outcome, Queue, QueueOptions, TakeOptions } from './queue.ts';
import { call, sqsClient } from './sqs-client.ts';
import { look, type SetAside, setAside } from './sqs-dead-letters.ts';
import { SQS_FIFO_GUARANTEES, SQS_GUARANTEES } from './sqs-guarantees.ts';
import { createSqsQueues, type SqsQueues } from './sqs-queues.ts';
import { hide, remove } from './sqs-receipts.ts';
import { decode, receive } from './sqs-receive.ts';
import { sendJobs } from './sqs-send.ts';

export interface SqsQueueOptions extends QueueOptions {
  /** Of an emulator. Default: AWS, as the SDK is configured. */
  endpoint?: string;
  /** Order per key, at a price: SQS gives one job per call then. */
  fifo?: boolean;
}

const COME_AGAIN_MS = 1_000;

/** Makes the queue, and the one for its dead letters, unless they are there. */
export async function openSqsQueue({ endpoint, fifo = false, ...options }: SqsQueueOptions): Promise<Queue> {
  const client = sqsClient(endpoint);
  try {
    return new SqsQueue(client, await createSqsQueues(client, options.name, fifo), options);
  } catch (error) {
    client.destroy();
    throw error;
  }
}

class SqsQueue implements Queue {
  readonly broker = 'sqs';
  readonly guarantees;
  readonly #client: SQSClient;
  readonly #queues: SqsQueues;
  readonly #capacity: number;
  readonly #onProblem: (problem: Error) => void;

  constructor(client: SQSClient, queues: SqsQueues, { capacity = 100_000, onProblem = () => {} }: QueueOptions) {
    this.guarantees = queues.dead.isFifo ? SQS_FIFO_GUARANTEES : SQS_GUARANTEES;
    this.#client = client;
    this.#queues = queues;
    this.#capacity = capacity;
    this.#onProblem = onProblem;
  }

  async enqueue(jobs: readonly Job[], options: EnqueueOptions = {}): Promise<void> {
    // SQS has no bound. What it counts lags behind, and others count at the same time: it may become a little fuller.
    const { ready, delayed, leased } = await this.#counts();
    if (ready + delayed + leased + jobs.length > this.#capacity) {
      throw new QueueError('full', `the queue has its ${this.#capacity} jobs`, { retryAfterMs: COME_AGAIN_MS });
    }
    await sendJobs(this.#client, this.#queues, jobs, options);
  }

  async take(options: TakeOptions): Promise<Delivery[]> {
    const messages = await receive(this.#client, this.#queues, { ...options, onProblem: this.#onProblem });
    const { deliveries, malformed } = decode(messages);
    for (const { reason } of malformed) this.#onProblem(new QueueError('malformed', reason));
    await this.#setAside(malformed);
    return deliveries;
  }

  /** First there, then no longer here: after a crash between the two it is in both, and in neither never. */
  async #setAside(jobs: (SetAside & { receipt: unknown })[]): Promise<void> {
    await setAside(this.#client, this.#queues.dead, jobs);
    await remove(this.#client, this.#queues.url, jobs);
  }

  async settle(outcomes: readonly Outcome[]): Promise<Delivery[]> {
    const done = outcomes.filter(({ as }) => as === 'done').map(({ delivery }) => delivery);
    const dead = outcomes.flatMap((outcome) => {
      if (outcome.as !== 'dead') return [];
      const { job, attempt, receipt } = outcome.delivery;
      return [{ text: encodeJob(job), attempts: attempt, reason: outcome.reason, receipt }];
    });
    const hidden = outcomes.flatMap((outcome) => {
      if (outcome.as === 'retry') return [{ delivery: outcome.delivery, hiddenMs: outcome.delayMs }];
      return outcome.as === 'released' ? [{ delivery: outcome.delivery, hiddenMs: 0 }] : [];
    });
    const { url } = this.#queues;
    const [undone, shown] = await Promise.all([
      remove(this.#client, url, done),
      hide(this.#client, url, hidden),
      this.#setAside(dead),
    ]);
    return [...undone, ...shown];
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<Delivery[]> {
    const hidden = deliveries.map((delivery) => ({ delivery, hiddenMs: leaseMs }));
    return await hide(this.#client, this.#queues.url, hidden);
  }

  async dead({ limit = 100 }: { limit?: number } = {}): Promise<DeadJob[]> {
    let dead: DeadJob[] = [];
    await look(this.#client, this.#queues.dead, limit, async (found) => {
      dead = found.map(({ sentAt: _sentAt, receipt: _receipt, ...each }) => each);
      return [];
    });
    return dead;
  }

  async redrive(ids: readonly string[]): Promise<number> {
    let redriven = 0;
    await look(this.#client, this.#queues.dead, Number.POSITIVE_INFINITY, async (found) => {
      const wanted = found.filter(({ id, job }) => job && ids.includes(id));
      const jobs = wanted.flatMap(({ job }) => job ?? []);
      await sendJobs(this.#client, this.#queues, jobs, { isAgain: true });
      redriven = wanted.length;
      return wanted;
    });
    return redriven;
  }

  /** All of it approximate, and a minute old at worst. */
  async depth(): Promise<Depth> {
    const [counts, dead] = await Promise.all([this.#counts(), this.#counts(this.#queues.dead.url)]);
    return { ...counts, dead: dead.ready + dead.leased };
  }

  async #counts(QueueUrl = this.#queues.url): Promise<{ ready: number; delayed: number; leased: number }> {
    const of = 'ApproximateNumberOfMessages' as const;
    const ask = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [of, `${of}Delayed`, `${of}NotVisible`] });
    const { Attributes = {} } = await call((options) => this.#client.send(ask, options));
    return {
      ready: Number(Attributes[of]),
      delayed: Number(Attributes[`${of}Delayed`]),
      leased: Number(Attributes[`${of}NotVisible`]),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
  }
}
