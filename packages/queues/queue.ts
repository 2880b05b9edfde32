/**
 * What producers and workers may expect of a queue, whichever broker keeps it.
 *
 * A job that is taken is not gone: it is leased. Who took it says in time what became of it (`settle`), or asks for more time
 * (`extend`); else the job goes to somebody else, and the first one's word no longer counts. All methods take several jobs at
 * once, since a round trip per job is what limits a queue. One suite (test/guarantees.ts) runs over all brokers, and proves
 * what each promises and what it does not.
 */
import type { Job } from './job.ts';

/** Disposing it gives up the connections. What is leased stays leased: a worker settles it before (work.ts). */
export interface Queue extends AsyncDisposable {
  /** `redis`, `postgres`, `rabbitmq`, `sqs`. */
  readonly broker: string;
  readonly guarantees: Guarantees;
  /**
   * Resolves when the broker has all of them where they survive it.
   * @throws {QueueError} `full`: none was taken, come again after `retryAfterMs`; `too-large`; `unavailable`: no answer, they may
   * have been taken or not.
   */
  enqueue(jobs: readonly Job[], options?: EnqueueOptions): Promise<void>;
  /** Waits for the first job at most `waitMs`, and returns what is there then: between none and `limit`. */
  take(options: TakeOptions): Promise<Delivery[]>;
  /** Says what became of jobs. Returns those whose lease was over: somebody else has them, and nothing was changed. */
  settle(outcomes: readonly Outcome[]): Promise<Delivery[]>;
  /** Heartbeat: `leaseMs` from now. Returns those whose lease was over. */
  extend(deliveries: readonly Delivery[], leaseMs: number): Promise<Delivery[]>;
  /** What was set aside, the oldest first. */
  dead(options?: { limit?: number }): Promise<DeadJob[]>;
  /** Puts dead jobs back, with no attempt counted. Returns how many of them were there. */
  redrive(ids: readonly string[]): Promise<number>;
  depth(): Promise<Depth>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface EnqueueOptions {
  /** Not before this much time has passed by the broker's clock. */
  delayMs?: number;
}

export interface TakeOptions {
  limit: number;
  /** How long nobody else gets them. */
  leaseMs: number;
  /** Default: 5 s. */
  waitMs?: number;
  /** Ends the waiting: resolves with what was taken so far. */
  signal?: AbortSignal;
}

export interface Delivery {
  readonly job: Job;
  /** 1 the first time. Attempts whose worker died count too, where the broker can. */
  readonly attempt: number;
  /** The broker's own, and different each time that the job is taken: it fences off whoever held the job before. */
  readonly receipt: unknown;
}

/** `released` gives the job back as if it had not been taken: a worker that stops is no failed attempt. */
export type Outcome =
  | { delivery: Delivery; as: 'done' | 'released' }
  | { delivery: Delivery; as: 'retry'; delayMs: number; reason: string }
  | { delivery: Delivery; as: 'dead'; reason: string };

export interface DeadJob {
  /** The queue's own, for `redrive`: one job may have died twice. */
  readonly id: string;
  /** Undefined when what lay in the queue was no job: then `text` has it. */
  readonly job?: Job;
  readonly text: string;
  readonly attempts: number;
  readonly reason: string;
}

export interface Depth {
  /** To be taken now. */
  readonly ready: number;
  readonly delayed: number;
  readonly leased: number;
  readonly dead: number;
  /** How long the oldest one that could be taken has waited: the figure to be alerted by. Undefined: the broker does not tell. */
  readonly oldestAgeMs?: number;
}

export interface QueueOptions {
  /** Two queues of different names on one broker share nothing. */
  name: string;
  /** More jobs than this are refused. Default: 100,000. */
  capacity?: number;
  /** Gets what belongs to no call: a lost connection, what was no job. It must not throw. */
  onProblem?: (problem: Error) => void;
}

// #region guarantees
/** Each is kept (`true`), or not, and then here is why. */
export type Guarantees = Readonly<Record<Clause, true | string>>;

export type Clause =
  | 'at-least-once' // a job whose worker was killed with -9 is done by another one
  | 'ack-after-work' // a job is gone when it is settled, not when it is taken
  | 'lease' // a job that nobody settles goes to somebody else when its time is over, though its holder lives
  | 'heartbeat' // a lease that is extended in time does not end
  | 'fencing' // whoever lost a lease can no longer settle the job
  | 'attempts' // deliveries are counted, those whose worker died too
  | 'dead-letter' // a job can be set aside with its reason, looked at, and put back
  | 'malformed-aside' // what is no job, or one of a version that nobody knows, is set aside and holds up no other
  | 'retry-delay' // a job that failed comes back after its delay and not before
  | 'release' // a job that is given back is there at once, with no attempt counted
  | 'delayed-job' // a job can be put there for later
  | 'order-per-key' // jobs with the same key are done one at a time in their order, retries included
  | 'bounded' // when it is full a job is refused, and none that was taken is dropped
  | 'survives-restart' // what was accepted is there after the broker was killed with -9
  | 'reconnects' // after a cut connection producer and worker go on by themselves
  | 'oldest-age'; // it tells how long the oldest job has waited
// #endregion
