/**
 * From the outbox to the queue of the notification service. The queue is opened when there is something to carry, and again later when
 * that fails: a payment service that is started while Redis is away takes payments all the same.
 */
import type { Log } from '@patterns/kit/log';
import type { Relay } from '@patterns/queues/outbox';
import type { Queue } from '@patterns/queues/queue';
import { openRedisQueue } from '@patterns/queues/redis-queue';
import { startOutboxRelay } from '../chassis/outbox.ts';
import { NOTIFICATIONS_QUEUE } from '../contracts/notification.ts';

export interface TellingOptions {
  databaseUrl: string;
  redisUrl: string;
  redisPrefix: string;
  log: Log;
}

/** Carries jobs until it is disposed; `wake` says that there is one. */
export function startTelling({ databaseUrl, redisUrl, redisPrefix, log }: TellingOptions): Relay {
  const onProblem = ({ message }: Error) => void log.warn('queue', { reason: message });
  let queue: Queue | undefined;
  const relay = startOutboxRelay({
    databaseUrl,
    log,
    queue: {
      async enqueue(jobs) {
        queue ??= await openRedisQueue({ url: redisUrl, prefix: redisPrefix, name: NOTIFICATIONS_QUEUE, onProblem });
        await queue.enqueue(jobs);
      },
    },
  });
  return {
    wake: relay.wake,
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      await queue?.[Symbol.asyncDispose]();
    },
  };
}
