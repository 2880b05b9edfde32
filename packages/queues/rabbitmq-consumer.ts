/**
 * Takes messages from a queue of RabbitMQ, on a connection of its own.
 *
 * RabbitMQ pushes: a consumer gets messages up to its prefetch, which is what it may have without an acknowledgement. One that stayed
 * there between two takes would hoard jobs that another worker has time for. So each take is a consumer with `limit` as its prefetch,
 * cancelled at the end: three round trips for a batch. (basic.get would be one for each job, and would have to be asked again and again.)
 */
import type { Channel, ConsumeMessage } from 'amqplib';
import type { TakeOptions } from './queue.ts';
import { Reconnecting, timer, unavailable } from './rabbitmq-connection.ts';
import { declareQueues } from './rabbitmq-topology.ts';

/** What has been delivered, and not acknowledged yet. It goes to somebody else as soon as its channel is closed. */
export class Receipt {
  readonly #channel: Channel;
  readonly #message: ConsumeMessage;
  readonly #open: Set<Receipt>;

  constructor(channel: Channel, message: ConsumeMessage, open: Set<Receipt>) {
    this.#channel = channel;
    this.#message = message;
    this.#open = open.add(this);
  }

  /** Nobody else has it. */
  get isHeld(): boolean {
    return this.#open.has(this);
  }

  get message(): ConsumeMessage {
    return this.#message;
  }

  /** Only once: a second acknowledgement is an error that closes the channel, and with it everything that is in hand. */
  acknowledge(): void {
    if (this.#open.delete(this)) this.#channel.ack(this.#message);
  }
}

const ANSWER_TIMEOUT_MS = 3_000;

export interface ConsumerOptions {
  url: string;
  name: string;
  capacity: number;
  onProblem: (problem: Error) => void;
}

export class Consumer implements AsyncDisposable {
  readonly #queue: string;
  readonly #reconnecting: Reconnecting<Channel>;
  /** Delivered to this client, on the channel that is open now. */
  readonly open: Set<Receipt>;

  private constructor(queue: string, reconnecting: Reconnecting<Channel>, open: Set<Receipt>) {
    this.#queue = queue;
    this.#reconnecting = reconnecting;
    this.open = open;
  }

  static async open({ url, name, capacity, onProblem }: ConsumerOptions): Promise<Consumer> {
    const open = new Set<Receipt>();
    const reconnecting = await Reconnecting.open<Channel>({
      url,
      name: `${name} consumer`,
      onProblem,
      async open(model) {
        const channel = await model.createChannel();
        channel.on('close', () => open.clear());
        await declareQueues(channel, name, capacity);
        return channel;
      },
    });
    return new Consumer(name, reconnecting, open);
  }

  /** @throws {QueueError} `unavailable` */
  async take(limit: number, waitMs: number, signal: TakeOptions['signal']): Promise<Receipt[]> {
    const deadline = performance.now() + waitMs;
    const line = await this.#reconnecting.line(Math.max(waitMs, 1), signal);
    try {
      return await this.#consume(line.channel, limit, Math.max(0, deadline - performance.now()), signal);
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #consume(channel: Channel, limit: number, waitMs: number, signal: TakeOptions['signal']): Promise<Receipt[]> {
    const receipts: Receipt[] = [];
    const { promise: first, resolve: arrived } = Promise.withResolvers<void>();
    const consumerTag = crypto.randomUUID();
    const onMessage = (message: ConsumeMessage | null) => {
      // Null: somebody has deleted the queue. The next question about it closes the channel, and the new one makes it again.
      if (message) receipts.push(new Receipt(channel, message, this.open));
      arrived();
    };
    channel.once('close', arrived);
    // Sent together, so that another take on this channel does not get in between with its own prefetch.
    await Promise.all([channel.prefetch(limit), channel.consume(this.#queue, onMessage, { consumerTag })]);
    using patience = timer(waitMs, signal);
    await Promise.race([first, patience.over]);
    channel.off('close', arrived);
    await channel.cancel(consumerTag); // what was under way arrives before the answer
    return receipts;
  }

  /** Resolves when the broker has read it, with those that were no longer held. @throws {QueueError} `unavailable`: not known */
  async acknowledge(receipts: readonly Receipt[]): Promise<Receipt[]> {
    const { channel } = await this.#reconnecting.line(ANSWER_TIMEOUT_MS);
    const lost = receipts.filter(({ isHeld }) => !isHeld);
    if (lost.length === receipts.length) return lost;
    try {
      for (const receipt of receipts) receipt.acknowledge();
      // An acknowledgement is not answered. What comes behind it on the same channel is: any question will do.
      await channel.prefetch(1);
      return lost;
    } catch (error) {
      throw unavailable(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reconnecting[Symbol.asyncDispose]();
  }
}
