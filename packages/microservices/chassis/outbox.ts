/**
 * What a service tells others is written in the transaction of what it tells of, and carried away afterwards: the outbox of the
 * queues (queues/outbox.ts), here for events too. It comes at least once, and each receiver tells by the id what it knows already.
 */
import { createPool } from '@patterns/connection-pooling/pool';
import type { Log } from '@patterns/kit/log';
import type { Broker } from '@patterns/pub-sub/broker';
import { type Envelope, VERSION } from '@patterns/pub-sub/protocol';
import { newJob, QueueError } from '@patterns/queues/job';
import { outbox, type Relay, startRelay } from '@patterns/queues/outbox';
import type { Queue } from '@patterns/queues/queue';
import type { PoolClient } from 'pg';
import { startSpan } from './spans.ts';

export { OUTBOX_SCHEMA } from '@patterns/queues/database';

export interface OutgoingEvent {
  readonly channel: string;
  /** The same for the same event, however often it is written: `<order>:<version>`. */
  readonly id: string;
  readonly data: unknown;
  /** Of the span that it happened in. */
  readonly traceparent?: string | undefined;
}

const write = outbox();

// #region outbox
/** Writes events into the outbox, in the caller's transaction. @throws {QueueError} `full`: the broker has been away for long. */
export async function writeOutbox(client: PoolClient, events: readonly OutgoingEvent[]): Promise<void> {
  const jobs = events.map(({ channel, id, data, traceparent }) =>
    newJob({ kind: channel, id, data, ...(traceparent ? { traceparent } : {}) }),
  );
  if (jobs.length > 0) await write(client, jobs);
}

/**
 * Carries what is in the outbox to `queue`, until it is disposed. It has connections of its own: it waits for the broker within a
 * transaction, and requests must not wait for that.
 */
export function startOutboxRelay({
  databaseUrl,
  queue,
  log,
}: {
  databaseUrl: string;
  queue: Pick<Queue, 'enqueue'>;
  log: Log;
}): Relay {
  // 15 s: longer than a command to Redis may take (10 s).
  const pool = createPool({ url: databaseUrl, size: 1, idleInTransactionMs: 15_000 });
  const onProblem = (problem: Error) => log.warn('outbox', { reason: problem.message });
  const relay = startRelay({ pool, queue, lookEveryMs: 500, onProblem });
  return {
    wake: relay.wake,
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      await pool.end();
    },
  };
}

/** A broker as what the relay carries to: each job is published as an event, on the channel that is its kind. */
export function toBroker(broker: Broker): Pick<Queue, 'enqueue'> {
  return {
    async enqueue(jobs) {
      const publishing = jobs.map(async ({ kind: channel, id, at, data, traceparent: parent }) => {
        const span = startSpan(`publish ${channel}`, {
          kind: 'producer',
          parent,
          attributes: { 'messaging.message.id': id },
        });
        const { traceparent } = span;
        const message: Envelope = { v: VERSION, id, channel, at: Date.parse(at), data, traceparent };
        await broker.publish(message).then(
          () => span.end(),
          (error) => {
            span.end(error);
            throw error;
          },
        );
      });
      // All have been tried before any failure is told: the transaction that holds the rows ends then.
      const failed = (await Promise.allSettled(publishing)).find(({ status }) => status === 'rejected');
      if (failed)
        throw new QueueError('unavailable', 'the broker did not take it', {
          cause: (failed as PromiseRejectedResult).reason,
        });
    },
  };
}
// #endregion
