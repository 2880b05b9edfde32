/**
 * What a producer puts on a queue, and how it is written there.
 *
 * A job carries what the reader needs to understand it without the program that wrote it: the version of its shape, its kind,
 * and the trace that it belongs to. Its id is the producer's, so that whoever does the work can tell the same job again.
 */
import { randomUUID } from 'node:crypto';

export const JOB_VERSION = 1;

/** Brokers allow between 128 KiB and 1 MiB (SQS): what is larger belongs in a store, and its address into the job. */
export const MAX_JOB_BYTES = 64 * 1024;

export interface Job {
  readonly v: typeof JOB_VERSION;
  readonly id: string;
  /** What is to be done: `notify`, `judge`. */
  readonly kind: string;
  readonly data: unknown;
  /** When it was made, as RFC 3339. */
  readonly at: string;
  /** Jobs with the same key are done one after the other, in the order in which they came, where the broker can. */
  readonly key?: string;
  /** The span that asked for it. [W3C Trace Context §3.2] */
  readonly traceparent?: string;
}

/** A job of now, with an id of its own unless one is given. */
export function newJob(job: Pick<Job, 'kind' | 'data'> & Partial<Pick<Job, 'id' | 'key' | 'traceparent'>>): Job {
  return { v: JOB_VERSION, id: randomUUID(), at: new Date().toISOString(), ...job };
}

export class QueueError extends Error {
  readonly code: 'full' | 'too-large' | 'malformed' | 'unavailable' | 'unsupported';
  /** With `full`: when to come again. */
  readonly retryAfterMs?: number;

  constructor(code: QueueError['code'], message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options);
    this.name = 'QueueError';
    this.code = code;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** @throws {QueueError} `too-large` */
export function encodeJob(job: Job): string {
  const text = JSON.stringify(job);
  if (Buffer.byteLength(text) <= MAX_JOB_BYTES) return text;
  throw new QueueError(
    'too-large',
    `a job has at most ${MAX_JOB_BYTES} bytes: put the rest elsewhere, and its address here`,
  );
}

/** Reads what a producer, perhaps of another version, wrote. @throws {QueueError} `malformed` */
export function decodeJob(text: string): Job {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new QueueError('malformed', 'a job must be JSON', { cause });
  }
  const job = value as Partial<Job> | null;
  if (typeof job !== 'object' || job === null || job.v !== JOB_VERSION) {
    throw new QueueError('malformed', `a job must have v: ${JOB_VERSION}, and has ${JSON.stringify(job?.v)}`);
  }
  for (const field of ['id', 'kind', 'at'] as const) {
    if (typeof job[field] !== 'string') throw new QueueError('malformed', `a job must have a string in ${field}`);
  }
  for (const field of ['key', 'traceparent'] as const) {
    const found = job[field];
    if (found !== undefined && typeof found !== 'string') {
      throw new QueueError('malformed', `${field} of a job must be a string, if it is there`);
    }
  }
  return job as Job;
}
