/** The brokers of the pub-sub benchmark by name, and the message that all of its parts send. */
import type { Broker } from '@patterns/pub-sub/broker';
import { KafkaBroker } from '@patterns/pub-sub/kafka';
import { type Envelope, envelope } from '@patterns/pub-sub/protocol';
import { RedisPubSub } from '@patterns/pub-sub/redis-pubsub';
import { RedisStreams, type RedisStreamsOptions } from '@patterns/pub-sub/redis-streams';
import { findKafka } from '@patterns/services/kafka';

export type BrokerName = 'redis-pubsub' | 'redis-streams' | 'kafka';

export const CHANNEL = 'bench';

/** Some 280 bytes with its envelope. `dueAt` is the moment, by `performance`, when somebody had it to say. */
export function news(dueAt: number): Envelope<{ due: number; text: string }> {
  return envelope(CHANNEL, { due: performance.timeOrigin + dueAt, text: 'x'.repeat(120) });
}

/** A broker by its name, on REDIS_URL or KAFKA_BROKERS. */
export async function openBroker(name: BrokerName, options: Partial<RedisStreamsOptions> = {}): Promise<Broker> {
  const url = process.env.REDIS_URL!;
  const onProblem = (problem: unknown) => {
    console.error(problem);
    process.exit(1); // a measurement with problems is none
  };
  if (name === 'kafka') {
    const { brokers, double } = await findKafka();
    return new KafkaBroker({ brokers, idempotent: !double, onProblem });
  }
  if (name === 'redis-pubsub') return new RedisPubSub({ url, onProblem });
  return new RedisStreams({ url, onProblem, ...options });
}
