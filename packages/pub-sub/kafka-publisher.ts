/**
 * Publishes to Kafka: one request on the way at a time, and what is published meanwhile goes together in the next.
 *
 * Acknowledged by all replicas that are in sync, and idempotent by default: a request whose answer was lost is sent again under the
 * same sequence number, so the broker takes it once [KIP-98].
 *
 * What surprises: when kafkajs gives a request up, it gives its number to the next one. If the broker had taken the
 * first, it would take the second for a repetition, acknowledge it and drop it. So a failure ends the producer: the next
 * one has another id, and numbers of its own.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Kafka, type Message, Partitioners, type Producer } from 'kafkajs';
import { PubSubError } from './protocol.ts';

export interface KafkaPublisher extends AsyncDisposable {
  /** Resolves when the brokers have it. @throws {PubSubError} `unavailable`: it may have been taken or not. */
  send(topic: string, record: Message & { value: string }): Promise<void>;
}

interface Waiting {
  topic: string;
  record: Message & { value: string };
  done: PromiseWithResolvers<void>;
}

/** A broker refuses a request of a megabyte as it comes (`message.max.bytes`); the half leaves room for keys and headers. */
const REQUEST_CHARACTERS = 500_000;

/** How long the replicas may take. Beyond that the caller is better off knowing. */
const ACKNOWLEDGE_MS = 5_000;

const ALL_IN_SYNC = -1;

export function kafkaPublisher(kafka: Kafka, { idempotent }: { idempotent: boolean }): KafkaPublisher {
  const waiting: Waiting[] = [];
  let producer: Producer | undefined;
  let flight: Promise<void> | undefined;

  async function send(batch: Waiting[]): Promise<void> {
    if (!producer) {
      producer = kafka.producer({ idempotent, createPartitioner: Partitioners.DefaultPartitioner });
      await producer.connect();
    }
    const byTopic = Map.groupBy(batch, ({ topic }) => topic);
    const topicMessages = [...byTopic].map(([topic, each]) => ({ topic, messages: each.map(({ record }) => record) }));
    await producer.sendBatch({ acks: ALL_IN_SYNC, timeout: ACKNOWLEDGE_MS, topicMessages });
  }

  async function fly(): Promise<void> {
    await nextTurn(); // what else is published in this pass of the event loop goes along
    while (waiting.length > 0) {
      const batch = takeBatch(waiting);
      try {
        await send(batch);
        for (const { done } of batch) done.resolve();
      } catch (cause) {
        await producer?.disconnect().catch(() => {});
        producer = undefined;
        const error = new PubSubError('unavailable', 'Kafka did not acknowledge: taken or not, nobody knows', {
          cause,
        });
        for (const { done } of batch) done.reject(error);
      }
    }
    flight = undefined;
  }

  return {
    send(topic, record) {
      const done = Promise.withResolvers<void>();
      waiting.push({ topic, record, done });
      flight ??= fly();
      return done.promise;
    },
    async [Symbol.asyncDispose]() {
      await flight;
      await producer?.disconnect();
    },
  };
}

/** As many as fit in a request, and one at least. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  let [count, characters] = [0, 0];
  while (count < waiting.length && (count === 0 || characters < REQUEST_CHARACTERS)) {
    characters += waiting[count++]?.record.value.length ?? 0;
  }
  return waiting.splice(0, count);
}
