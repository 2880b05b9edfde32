/**
 * What is told goes into the outbox, and from there to two places: messages to the broker, for the order service, and progress to
 * the feed, for the customers' streams.
 *
 * It may be carried twice. Each message has an id that its receiver knows, and each event a name under which the feed appends it
 * once. With two instances of this service two states of one order that come in the same instant may change places.
 */
import type { Feed } from '@patterns/feed/feed';
import type { Job } from '@patterns/queues/job';
import type { Queue } from '@patterns/queues/queue';
import type { Database } from '../chassis/database.ts';
import { writeOutbox } from '../chassis/outbox.ts';
import { DELIVERIES_CHANNEL, type DeliveryEvent } from '../contracts/events.ts';
import { FINAL_STATES, type Progress } from '../protocol.ts';
import type { Dispatch } from './deliveries.ts';
import type { Tracked } from './stream.ts';

/** A kind of job in the outbox that is no channel. */
const PROGRESS = 'progress';

export const tell: Dispatch['tell'] = (client, id, data, traceparent) =>
  writeOutbox(client, [{ channel: PROGRESS, id, data, traceparent }]);

export const report: Dispatch['report'] = (client, order, type, traceparent) => {
  const data: DeliveryEvent = { order, type };
  return writeOutbox(client, [{ channel: DELIVERIES_CHANNEL, id: `${order}:${type}`, data, traceparent }]);
};

/** Where the relay carries to. `messages` takes whatever is no progress. */
export function toFeed(
  feed: Feed<Tracked>,
  messages: Pick<Queue, 'enqueue'>,
  database: Database,
): Pick<Queue, 'enqueue'> {
  const append = async ({ id, data, traceparent }: Job) => {
    const progress = data as Progress;
    const tracked = traceparent ? { ...progress, traceparent } : progress;
    const event = await feed.append(progress.order, tracked, { once: id });
    if (progress.type !== 'state' || !FINAL_STATES.includes(progress.state)) return;
    await database.query('update tracking.deliveries set ends = $2 where order_id = $1', [progress.order, event.id]);
  };
  return {
    async enqueue(jobs) {
      const isProgress = (job: Job) => job.kind === PROGRESS;
      // All of it at once: one line carries it in this order.
      const carried = [
        messages.enqueue(jobs.filter((job) => !isProgress(job))),
        ...jobs.filter(isProgress).map(append),
      ];
      const failed = (await Promise.allSettled(carried)).find(({ status }) => status === 'rejected');
      if (failed) throw (failed as PromiseRejectedResult).reason;
    },
  };
}
