/**
 * Kafka as a broker: a channel is a topic, a log in several partitions; a subscriber reads it at its own pace.
 *
 * At-least-once: an offset is committed after the work, so a crash repeats what came since. Order holds within a
 * partition, and a key decides which that is: here the channel's name, unless the publisher gives another.
 * What surprises: Kafka counts no attempts and redelivers nothing while its consumer lives. Trying again is done here, in
 * place, and meanwhile the partition waits; a message that kills its consumer is counted by nobody.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Kafka, type KafkaConfig, type KafkaMessage, type LogEntry, logLevel } from 'kafkajs';
import type { Broker, BrokerOptions, Guarantees, Handler, PublishOptions, SubscribeOptions } from './broker.ts';
import { consume } from './kafka-consumer.ts';
import { type KafkaPublisher, kafkaPublisher } from './kafka-publisher.ts';
import { decode, type Envelope, encode, PubSubError } from './protocol.ts';
import { Subscriptions } from './subscription.ts';

// #region guarantees
export const kafkaGuarantees: Guarantees = {
  'everybody-hears': true,
  'in-order': true,
  patterns: 'kafkajs looks once for the topics that match, and would not hear one that begins later',
  'failing-handler-apart': true,
  'slow-handler-apart': true,
  'malformed-skipped': true,
  'clean-end': true,
  resubscribes: true,
  'nothing-lost-by-a-cut': true,
  'nothing-lost-by-absence': true,
  replay: true,
  'shared-work': true,
  redelivery: true,
  takeover: true,
  'poison-set-aside': true,
};
// #endregion

export interface KafkaBrokerOptions extends BrokerOptions {
  /** `host:port` of some; they name the others. */
  brokers: readonly string[];
  /** Further settings of kafkajs: `ssl`, `sasl`, `socketFactory`. */
  client?: Partial<KafkaConfig>;
  /** The broker takes a request that is repeated once. Default true; librdkafka's mock cluster cannot. */
  idempotent?: boolean;
  /** In a group: a message that failed so often is set aside. */
  maxAttempts?: number;
}

/** A call waits about ten seconds in the worst case; a consumer is then reported, and started again. */
const bounded = {
  connectionTimeout: 2_000,
  requestTimeout: 10_000,
  retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000 },
};

/** Before the second attempt; doubled for each further one. */
const AGAIN_MS = 50;

/** Where a topic's messages go that failed every time; the header `reason` says why. */
export const setAsideTopic = (topic: string) => `${topic}.set-aside`;

export class KafkaBroker implements Broker {
  readonly guarantees = kafkaGuarantees;
  readonly #kafka: Kafka;
  readonly #publisher: KafkaPublisher;
  readonly #subscriptions = new Subscriptions();
  readonly #prefix: string;
  readonly #maxAttempts: number;
  readonly #onProblem: (problem: PubSubError) => void;

  /** The prefix must do as part of a topic's name: letters, digits, `.`, `_` and `-`. */
  constructor(options: KafkaBrokerOptions) {
    const { brokers, client, idempotent = true, maxAttempts = 5, prefix = '', onProblem = () => {} } = options;
    const logging = { logLevel: logLevel.ERROR, logCreator: () => (entry: LogEntry) => this.#readLog(entry) };
    const clientId = `pub-sub-${randomUUID()}`;
    this.#kafka = new Kafka({ clientId, ...bounded, ...logging, ...client, brokers: [...brokers] });
    this.#publisher = kafkaPublisher(this.#kafka, { idempotent });
    this.#prefix = prefix;
    this.#maxAttempts = maxAttempts;
    this.#onProblem = onProblem;
  }

  async publish(message: Envelope, { key = message.channel }: PublishOptions = {}) {
    await this.#publisher.send(this.#prefix + message.channel, { key, value: encode(message) });
    return {}; // kafkajs does not tell which message of a request stands where
  }

  async subscribe(channel: string, handler: Handler, options: SubscribeOptions = {}) {
    if (options.pattern) throw new PubSubError('unsupported', `not supported: ${kafkaGuarantees.patterns}`);
    const topic = this.#prefix + channel;
    // The topic is in the group's name: the members of a group must all want the same topics.
    const group = options.group && `${topic}.${options.group}`;
    const work = (record: KafkaMessage, position: string, signal: AbortSignal) =>
      this.#work(record, { topic, position, group, handler, signal });
    try {
      const consumer = await consume(this.#kafka, {
        topic,
        group,
        after: options.after,
        work,
        onProblem: this.#onProblem,
      });
      return this.#subscriptions.add(consumer.close, { signal: options.signal });
    } catch (cause) {
      if (cause instanceof PubSubError) throw cause;
      throw new PubSubError('unavailable', `Kafka did not let us subscribe to ${channel}`, { cause });
    }
  }

  // #region work
  /** Hands a record to the handler, in a group until it is done or set aside. False: the signal came first. */
  async #work(record: KafkaMessage, { topic, position, group, handler, signal }: Work): Promise<boolean> {
    let message: Envelope;
    try {
      message = decode(record.value?.toString() ?? '');
    } catch (error) {
      this.#onProblem(error as PubSubError);
      return true;
    }
    for (let attempt = 1; ; attempt++) {
      try {
        await handler(message, { position, attempt });
        return true;
      } catch (cause) {
        this.#onProblem(new PubSubError('handler-failed', `a handler of ${message.channel} failed`, { cause }));
        if (group === undefined) return true;
        if (attempt >= this.#maxAttempts) {
          const headers = { reason: String(cause), group, position, attempts: `${attempt}` };
          await this.#publisher.send(setAsideTopic(topic), { key: record.key, value: encode(message), headers });
          this.#onProblem(new PubSubError('set-aside', `${message.id} failed ${attempt} times: set aside`, { cause }));
          return true;
        }
        await pause(AGAIN_MS * 2 ** (attempt - 1), undefined, { signal }).catch(() => {});
        if (signal.aborted) return false;
      }
    }
  }
  // #endregion

  /** kafkajs writes what it then mends, or throws. Only this it says nowhere else: what was to be read is gone. */
  #readLog({ log }: LogEntry): void {
    if (!log.message.startsWith('Offset out of range')) return;
    this.#onProblem(new PubSubError('cursor-expired', `${log.topic} is read on from the oldest that is kept`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscriptions.close();
    await this.#publisher[Symbol.asyncDispose]();
  }
}

interface Work {
  topic: string;
  position: string;
  group: string | undefined;
  handler: Handler;
  signal: AbortSignal;
}
