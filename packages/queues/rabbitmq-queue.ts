/**
 * The queue on RabbitMQ 3.10 or newer, over AMQP 0-9-1.
 *
 * It has no lease that ends by time. A job is held as long as the channel stands on which it was delivered: it comes back at once when
 * its worker dies, and not at all while the worker only hangs. (RabbitMQ closes a channel after 30 minutes without an
 * acknowledgement: `consumer_timeout`.) So whoever lost a job has lost its channel as well, and cannot settle it any more.
 */
import { encodeJob, type Job } from './job.ts';
import type { DeadJob, Delivery, Depth, EnqueueOptions, Outcome, Queue, QueueOptions, TakeOptions } from './queue.ts';
import { unavailable } from './rabbitmq-connection.ts';
import { Consumer, type Receipt } from './rabbitmq-consumer.ts';
import { look } from './rabbitmq-dead-letters.ts';
import { decode, isLost, type Malformed } from './rabbitmq-delivery.ts';
import { RABBITMQ_GUARANTEES } from './rabbitmq-guarantees.ts';
import { Publisher } from './rabbitmq-publisher.ts';
import { countReady, DELAYS_MS, deadQueue, delayQueue } from './rabbitmq-topology.ts';

export interface RabbitmqQueueOptions extends QueueOptions {
  /** amqp:// or amqps:// */
  url: string;
}

/** Makes the queues, unless they are there. @throws {QueueError} `unavailable` */
export async function openRabbitmqQueue(options: RabbitmqQueueOptions): Promise<Queue> {
  const settings = { capacity: 100_000, onProblem: () => {}, ...options };
  const publisher = await Publisher.open(settings);
  try {
    return new RabbitmqQueue(settings, publisher, await Consumer.open(settings));
  } catch (error) {
    await publisher[Symbol.asyncDispose]();
    throw error;
  }
}

class RabbitmqQueue implements Queue {
  readonly broker = 'rabbitmq';
  readonly guarantees = RABBITMQ_GUARANTEES;
  readonly #name: string;
  readonly #onProblem: (problem: Error) => void;
  readonly #publisher: Publisher;
  readonly #consumer: Consumer;

  constructor({ name, onProblem = () => {} }: QueueOptions, publisher: Publisher, consumer: Consumer) {
    this.#name = name;
    this.#onProblem = onProblem;
    this.#publisher = publisher;
    this.#consumer = consumer;
  }

  async enqueue(jobs: readonly Job[], { delayMs = 0 }: EnqueueOptions = {}): Promise<void> {
    const parcels = jobs.map((job) => ({ id: job.id, text: encodeJob(job) }));
    // The broker's own bound refuses single messages, in the middle of a batch: it is there for those who come between the two lines.
    await this.#publisher.expectRoom(parcels.length, delayMs);
    await this.#publisher.enqueue(parcels, delayMs);
  }

  async take({ limit, waitMs = 5_000, signal }: TakeOptions): Promise<Delivery[]> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const leftMs = Math.max(0, deadline - performance.now());
      try {
        const { deliveries, malformed } = decode(await this.#consumer.take(limit, leftMs, signal));
        for (const { problem } of malformed) this.#onProblem(problem);
        await this.#move(malformed);
        if (deliveries.length > 0 || leftMs === 0) return deliveries;
      } catch (error) {
        if (!signal?.aborted) throw error;
      }
      if (signal?.aborted) return [];
    }
  }

  /** To the dead letters: first there, then no longer here. After a crash between the two it is in both, and in neither never. */
  async #move(malformed: readonly Malformed[]): Promise<void> {
    if (malformed.length === 0) return;
    const parcels = malformed.map(({ parcel }) => parcel);
    await this.#publisher.publish(deadQueue(this.#name), parcels);
    await this.#consumer.acknowledge(malformed.map(({ receipt }) => receipt));
  }

  async settle(outcomes: readonly Outcome[]): Promise<Delivery[]> {
    await Promise.all(
      outcomes.filter(({ delivery }) => !isLost(delivery)).map((outcome) => this.#putWhereItGoes(outcome)),
    );
    const deliveries = outcomes.map(({ delivery }) => delivery);
    const lost = new Set(await this.#consumer.acknowledge(deliveries.map(({ receipt }) => receipt as Receipt)));
    return deliveries.filter(({ receipt }) => lost.has(receipt as Receipt));
  }

  async #putWhereItGoes(outcome: Outcome): Promise<void> {
    if (outcome.as === 'done') return;
    const { job, attempt } = outcome.delivery;
    const parcel = { id: job.id, text: encodeJob(job) };
    if (outcome.as === 'dead') {
      const headers = { attempts: attempt, reason: outcome.reason };
      return await this.#publisher.publish(deadQueue(this.#name), [{ ...parcel, headers }]);
    }
    // Not `nack`: that counts as an attempt, and makes the next one at once.
    const isRetry = outcome.as === 'retry';
    const headers = { attempts: isRetry ? attempt : attempt - 1 };
    await this.#publisher.enqueue([{ ...parcel, headers }], isRetry ? outcome.delayMs : 0);
  }

  /** There is nothing to extend: it only tells what is held still. */
  async extend(deliveries: readonly Delivery[]): Promise<Delivery[]> {
    return deliveries.filter(isLost);
  }

  async dead({ limit = 100 }: { limit?: number } = {}): Promise<DeadJob[]> {
    let dead: DeadJob[] = [];
    const { model } = await this.#publisher.line();
    await look(model, this.#name, limit, async (found) => {
      dead = found.map((each) => each.dead);
    });
    return dead;
  }

  async redrive(ids: readonly string[]): Promise<number> {
    let redriven = 0;
    const { model } = await this.#publisher.line();
    await look(model, this.#name, Number.POSITIVE_INFINITY, async (found, channel) => {
      const wanted = found.filter(({ dead }) => dead.job && ids.includes(dead.id));
      await this.#publisher.enqueue(wanted.map(({ dead: { id, text } }) => ({ id, text })));
      for (const { message } of wanted) channel.ack(message);
      redriven = wanted.length;
    });
    return redriven;
  }

  /** Of what is leased AMQP tells nobody: it is this client's own. */
  async depth(): Promise<Depth> {
    const { model } = await this.#publisher.line();
    const delays = DELAYS_MS.map((ms) => delayQueue(this.#name, ms).queue);
    try {
      const counts = await Promise.all(
        [this.#name, deadQueue(this.#name), ...delays].map((queue) => countReady(model, queue)),
      );
      const [ready = 0, dead = 0, ...delayed] = counts;
      return { ready, dead, delayed: delayed.reduce((sum, each) => sum + each, 0), leased: this.#consumer.open.size };
    } catch (error) {
      throw unavailable(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#publisher[Symbol.asyncDispose](), this.#consumer[Symbol.asyncDispose]()]);
  }
}
