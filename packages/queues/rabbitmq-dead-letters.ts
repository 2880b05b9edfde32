/**
 * The queue of what was set aside. AMQP has no looking without taking: what is looked at is taken on a channel that is closed
 * again, and so goes back to its place. Two who look at the same time see each a part.
 */
import type { Channel, ChannelModel, GetMessage } from 'amqplib';
import { decodeJob, type Job } from './job.ts';
import type { DeadJob } from './queue.ts';
import { unavailable } from './rabbitmq-connection.ts';
import { DELIVERY_LIMIT, deadQueue } from './rabbitmq-topology.ts';

/** Calls `use` with what is there, the oldest first. What it acknowledges is gone, the rest goes back. @throws {QueueError} */
export async function look(
  model: ChannelModel,
  name: string,
  limit: number,
  use: (found: { dead: DeadJob; message: GetMessage }[], channel: Channel) => Promise<void>,
): Promise<void> {
  try {
    const channel = await model.createChannel();
    channel.on('error', () => {}); // the call that it broke rejects
    const found: { dead: DeadJob; message: GetMessage }[] = [];
    while (found.length < limit) {
      const message = await channel.get(deadQueue(name));
      if (!message) break;
      found.push({ dead: deadJob(message), message });
    }
    try {
      await use(found, channel);
    } finally {
      await channel.close();
    }
  } catch (error) {
    throw unavailable(error);
  }
}

function deadJob({ content, properties }: GetMessage): DeadJob {
  const text = content.toString();
  const { attempts, reason } = (properties.headers ?? {}) as { attempts?: number; reason?: string };
  let job: Job | undefined;
  try {
    job = decodeJob(text);
  } catch {
    // Its reason says so.
  }
  return {
    id: job?.id ?? (properties.messageId as string | undefined) ?? '',
    ...(job && { job }),
    text,
    // Moved here by the broker itself: it says how often, but not why.
    attempts: reason === undefined ? DELIVERY_LIMIT : (attempts ?? 0),
    reason: reason ?? `taken more than ${DELIVERY_LIMIT} times, and nobody said why`,
  };
}
