/**
 * Puts messages on queues of RabbitMQ, and knows when they are safe: persistent, confirmed, and never into the void.
 *
 * On a connection of its own. A broker that is short of memory stops reading from connections that publish, and acknowledgements on
 * the same one would not get through either, which are what would help it.
 */
import type { ConfirmChannel } from 'amqplib';
import { QueueError } from './job.ts';
import { type Line, Reconnecting, timer, unavailable } from './rabbitmq-connection.ts';
import { declareQueues, delayQueue } from './rabbitmq-topology.ts';

export interface Parcel {
  /** The id of its job, if it is one. */
  id: string;
  text: string;
  /** What is known beside the job: attempts so far, and of dead letters the reason. */
  headers?: { attempts?: number; reason?: string };
}

export interface PublisherOptions {
  url: string;
  name: string;
  capacity: number;
  onProblem: (problem: Error) => void;
}

/** A broker that is well confirms in milliseconds: as fast as its disk. */
const CONFIRM_TIMEOUT_MS = 10_000;
/** How long a producer is kept waiting for a connection that is being made again. */
const LINE_TIMEOUT_MS = 3_000;
const COME_AGAIN_MS = 1_000;

export class Publisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #reconnecting: Reconnecting<ConfirmChannel>;
  /** Of messages for which there was no queue. The broker tells it before it confirms them. */
  readonly #returned: Set<string>;

  private constructor(options: PublisherOptions, reconnecting: Reconnecting<ConfirmChannel>, returned: Set<string>) {
    this.#options = options;
    this.#reconnecting = reconnecting;
    this.#returned = returned;
  }

  static async open(options: PublisherOptions): Promise<Publisher> {
    const { url, name, capacity, onProblem } = options;
    const returned = new Set<string>();
    const reconnecting = await Reconnecting.open({
      url,
      name: `${name} publisher`,
      onProblem,
      async open(model) {
        const channel = await model.createConfirmChannel();
        channel.on('return', ({ properties }) => returned.add(properties.messageId as string));
        await declareQueues(channel, name, capacity);
        return channel;
      },
    });
    return new Publisher(options, reconnecting, returned);
  }

  /** @throws {QueueError} `unavailable` */
  line(): Promise<Line<ConfirmChannel>> {
    return this.#reconnecting.line(LINE_TIMEOUT_MS);
  }

  /** Asks whether there is room for `count` more. @throws {QueueError} `full`, `unavailable` */
  async expectRoom(count: number, delayMs = 0): Promise<void> {
    const { name, capacity } = this.#options;
    const { channel, isBlocked } = await this.line();
    if (isBlocked) throw full('RabbitMQ is short of memory or disk');
    const { messageCount } = await this.#ask(
      delayMs > 0 ? this.#declareDelay(channel, delayMs) : channel.checkQueue(name),
    );
    if (messageCount + count > capacity) throw full(`the queue has ${messageCount} of its ${capacity} jobs`);
  }

  #declareDelay(channel: ConfirmChannel, delayMs: number) {
    const { queue, options } = delayQueue(this.#options.name, delayMs);
    return channel.assertQueue(queue, options);
  }

  /** To the jobs' own queue, after a delay if there is one. */
  async enqueue(parcels: readonly Parcel[], delayMs = 0): Promise<void> {
    const { channel } = await this.line();
    if (delayMs === 0) return await this.publish(this.#options.name, parcels);
    await this.#ask(this.#declareDelay(channel, delayMs));
    await this.publish(delayQueue(this.#options.name, delayMs).queue, parcels);
  }

  /** Resolves when the broker has all of them on disk. @throws {QueueError} `full`, `unavailable`: some of them may be there */
  async publish(queue: string, parcels: readonly Parcel[]): Promise<void> {
    if (parcels.length === 0) return;
    const line = await this.line();
    const properties = { persistent: true, mandatory: true, contentType: 'application/json' };
    const confirms = parcels.map(({ id, text, headers = {} }) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const isWaiting = { ...properties, messageId: id, headers };
      line.channel.publish('', queue, Buffer.from(text), isWaiting, (error: unknown) => resolve(error));
      return promise;
    });
    const answers = await this.#ask(Promise.all(confirms));
    const failure = answers.find((error) => error !== null && error !== undefined) as Error | undefined;
    if (failure?.message === 'message nacked') throw full('RabbitMQ refuses more');
    if (failure) throw unavailable(failure);
    if (!parcels.some(({ id }) => this.#returned.delete(id))) return;
    this.#reconnecting.drop(line); // and make the queues again
    throw new QueueError('unavailable', `there is no queue ${queue}: somebody has deleted it`);
  }

  /** A line that has gone silent without a word answers nothing, for ever. */
  async #ask<T>(answer: Promise<T>): Promise<T> {
    using patience = timer(CONFIRM_TIMEOUT_MS);
    const silence = patience.over.then(() => Promise.reject(new Error(`no answer within ${CONFIRM_TIMEOUT_MS} ms`)));
    silence.catch(() => {});
    try {
      return await Promise.race([answer, silence]);
    } catch (error) {
      throw unavailable(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reconnecting[Symbol.asyncDispose]();
  }
}

function full(message: string): QueueError {
  return new QueueError('full', message, { retryAfterMs: COME_AGAIN_MS });
}
