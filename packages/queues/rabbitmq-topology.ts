/**
 * The queues that make one queue on RabbitMQ: the jobs, the dead letters, and one per delay.
 *
 * RabbitMQ cannot hide a message for a while. It can let it expire, and pass on what expired: so a delay is a stay in a queue that
 * nobody reads. All in such a queue stay equally long. With a time of its own per message, one that stays long would hold up those
 * behind it, since messages expire at the head of the queue only.
 */
import { type Channel, type ChannelModel, connect, type Options } from 'amqplib';
import { QueueError } from './job.ts';

/** A net below the worker's own cap: for a job that kills whoever takes it, before a word is said. */
export const DELIVERY_LIMIT = 100;

// Quorum queues: written to disk by a majority before they are confirmed. The queue, and not the network between them, must be the one
// to decide what is lost: what expires, or is delivered too often, is handed on with a confirm, and stays until it is taken there.
const quorum = (next: string) => ({
  'x-queue-type': 'quorum',
  'x-overflow': 'reject-publish',
  'x-dead-letter-exchange': '', // the one that every queue is bound to by its own name
  'x-dead-letter-routing-key': next,
  'x-dead-letter-strategy': 'at-least-once',
});

/**
 * Jobs beyond `capacity` are refused by the broker itself. It counts those that nobody has taken, and one too few.
 * RabbitMQ 3.10 writes down a second late that there is a new quorum queue: killed with -9 before that, it comes back without it.
 */
export async function declareQueues(channel: Channel, name: string, capacity: number): Promise<void> {
  await channel.assertQueue(deadQueue(name), deadOptions);
  const limits = { 'x-max-length': capacity, 'x-delivery-limit': DELIVERY_LIMIT };
  await channel.assertQueue(name, { durable: true, arguments: { ...quorum(deadQueue(name)), ...limits } });
}

export function deadQueue(name: string): string {
  return `${name}.dead`;
}

// Not a quorum queue: to look at a message is to take it and give it back, and a quorum queue (from RabbitMQ 4 on) drops what was
// taken twenty times.
const deadOptions: Options.AssertQueue = { durable: true, arguments: { 'x-queue-type': 'classic' } };

/** 100 ms, 200, 500, 1 s, 2, 5, ... to 28 hours: steps so coarse that there are never more than 19 queues. */
export const DELAYS_MS: readonly number[] = Array.from(
  { length: 19 },
  (_, n) => [1, 2, 5][n % 3]! * 100 * 10 ** Math.floor(n / 3),
);

/** The queue where a message stays for `delayMs`, rounded up to the next step. @throws {QueueError} `unsupported` */
export function delayQueue(name: string, delayMs: number): { queue: string; options: Options.AssertQueue } {
  const ms = DELAYS_MS.find((step) => step >= delayMs);
  if (ms === undefined)
    throw new QueueError('unsupported', `a delay of more than ${DELAYS_MS.at(-1)} ms is not supported`);
  return {
    queue: `${name}.delay.${ms}`,
    // It is never removed by itself: a queue that expires takes its messages along.
    options: { durable: true, arguments: { ...quorum(name), 'x-message-ttl': ms } },
  };
}

/** How many messages are ready in a queue; 0 when there is no such queue, for which the broker closes the channel that asked. */
export async function countReady(model: ChannelModel, queue: string): Promise<number> {
  const channel = await model.createChannel();
  channel.on('error', () => {});
  try {
    const { messageCount } = await channel.checkQueue(queue);
    await channel.close();
    return messageCount;
  } catch (error) {
    if ((error as { code?: number }).code === 404) return 0;
    throw error;
  }
}

/** Removes all of them, with what is in them. */
export async function removeQueues(url: string, name: string): Promise<void> {
  const model = await connect(url);
  model.on('error', () => {}); // the call that it broke rejects
  try {
    const channel = await model.createChannel();
    channel.on('error', () => {});
    const delays = DELAYS_MS.map((ms) => delayQueue(name, ms).queue);
    for (const queue of [name, deadQueue(name), ...delays]) await channel.deleteQueue(queue);
  } finally {
    await model.close();
  }
}
