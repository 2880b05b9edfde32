/** The parts of the pub-sub benchmark, each with processes of its own, from their start to their end. */
import { startChild } from './processes.ts';
import type { BrokerName } from './pub-sub-broker.ts';
import type { Consumer, Way } from './pub-sub-consumer.ts';
import type { Publisher } from './pub-sub-publisher.ts';

/** Callers that publish at the same time, each waiting for its own receipts. */
export const CALLERS = 32;
/** Messages a second: a rate that nobody has to hurry for. */
export const RATE = 1_000;

export interface Size {
  /** Messages that a consumer works off. */
  consumed: number;
  warmUpMs: number;
  flatOutMs: number;
  pacedMs: number;
}

/** A stream that was filled before, worked off in batches. */
export async function consume(url: string, way: Way, { consumed }: Size) {
  await using consumer = startConsumer(url);
  return await consumer.ask('consume', { way, count: consumed });
}

/** One after the other, by many callers at once, and at a moderate rate. */
export async function publish(url: string, name: BrokerName | 'bare XADD', { flatOutMs, pacedMs, warmUpMs }: Size) {
  await using publisher = startPublisher(url, name);
  await publisher.ask('flatOut', { callers: CALLERS, durationMs: warmUpMs });
  const one = await publisher.ask('flatOut', { callers: 1, durationMs: flatOutMs });
  const many = await publisher.ask('flatOut', { callers: CALLERS, durationMs: flatOutMs });
  const paced = await publisher.ask('paced', { rate: RATE, durationMs: pacedMs });
  const prefixed = Object.entries({ one, many, paced }).flatMap(([pace, figures]) =>
    Object.entries(figures).map(([figure, value]) => [`${pace} ${figure}`, value]),
  );
  return { ...Object.fromEntries(prefixed), gain: many.rate / one.rate, addedMs: many.p50Ms - one.p50Ms };
}

/** From a publisher to a subscriber. */
export async function hear(url: string, name: BrokerName, { pacedMs, warmUpMs }: Size) {
  await using consumer = startConsumer(url);
  await consumer.ask('hear', { name });
  await using publisher = startPublisher(url, name);
  await consumer.ask('heard', await publisher.ask('paced', { rate: RATE, durationMs: warmUpMs }));
  return await consumer.ask('heard', await publisher.ask('paced', { rate: RATE, durationMs: pacedMs }));
}

function startConsumer(url: string) {
  return startChild<Consumer>(new URL('pub-sub-consumer.ts', import.meta.url), { env: { REDIS_URL: url } });
}

function startPublisher(url: string, name: BrokerName | 'bare XADD') {
  const file = new URL('pub-sub-publisher.ts', import.meta.url);
  return startChild<Publisher>(file, { args: [name], env: { REDIS_URL: url } });
}
