/**
 * What the brokers cost beside the bare commands: a consumer group that works off a stream in batches, publishing with and
 * without waiting for each receipt, and how long a message is under way. All on a Redis of their own.
 */
import { kafkaName, locateKafka } from '@patterns/services/kafka';
import { startRedis } from '@patterns/services/start-redis';
import type { BrokerName } from './pub-sub-broker.ts';
import { CALLERS, consume, hear, publish, RATE, type Size } from './pub-sub-measure.ts';
import { describeMachine, type Results, type Table, type Target, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const SIZES: Record<NonNullable<BenchOptions['size']>, Size & { rounds: number }> = {
  full: { rounds: 7, consumed: 60_000, flatOutMs: 1_000, pacedMs: 3_000, warmUpMs: 500 },
  quick: { rounds: 3, consumed: 10_000, flatOutMs: 300, pacedMs: 500, warmUpMs: 150 },
  tiny: { rounds: 1, consumed: 250, flatOutMs: 50, pacedMs: 50, warmUpMs: 10 },
};

const CONSUMERS = { 'bare XREADGROUP and XACK': 'bare', 'redis-streams, consumer group': 'ours' } as const;
const PUBLISHERS = { 'bare XADD': 'bare XADD', 'redis-streams': 'redis-streams' } as const;
const HEARD = { 'redis-pubsub, heard': 'redis-pubsub', 'redis-streams, heard': 'redis-streams' } as const;
const KAFKA = { 'kafka, heard': 'kafka' } as const;

const WORKED_OFF = { cpuMicros: 'consumer CPU per message, µs', rate: 'messages per second' } as const;
const PUBLISHED = {
  cpuMicros: 'publisher CPU per message, µs',
  rate: 'messages per second',
  p50Ms: 'p50 until the receipt, ms',
  p99Ms: 'p99, ms',
} as const;
const UNDER_WAY = { p50Ms: 'p50, ms', p99Ms: 'p99, ms', lost: 'lost' } as const;

/** How messages are published, as it is called in a table. */
const PACES = {
  one: 'awaited one by one',
  many: `${CALLERS} callers`,
  paced: `${RATE.toLocaleString('en')} a second at random`,
} as const;

type Way = keyof (typeof CONSUMERS & typeof PUBLISHERS & typeof HEARD & typeof KAFKA);

/** Reports what the brokers reached beside the bare commands. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size: sizeName = 'full', say, signal } = options;
  const size = SIZES[sizeName];
  await using redis = await startRedis(signal && { signal });
  const kafka = process.env.KAFKA_BROKERS ? kafkaName(await locateKafka(signal && { signal })) : undefined;
  if (!kafka) say?.('KAFKA_BROKERS is not set: its row is left out');
  const heard: Partial<Record<Way, BrokerName>> = { ...HEARD, ...(kafka ? KAFKA : {}) };

  const ways = new Map<Way, () => Promise<Record<string, number>>>();
  for (const [name, way] of entries(CONSUMERS)) ways.set(name, () => consume(redis.url, way, size));
  for (const [name, way] of entries(PUBLISHERS)) ways.set(name, () => publish(redis.url, way, size));
  for (const [name, broker] of entries(heard)) ways.set(name, () => hear(redis.url, broker!, size));
  const rounds = await runRounds(size.rounds, [...ways.keys()], (name) => ways.get(name)!(), options);

  const cells = (name: Way, figures: Record<string, string>, prefix = '') =>
    Object.keys(figures).map((figure) => rounds.of(name, prefix + figure));
  const tables: Table[] = [
    {
      title: `${size.consumed.toLocaleString('en')} messages that wait in a stream, worked off in batches of 100`,
      columns: Object.values(WORKED_OFF),
      rows: keys(CONSUMERS).map((name) => ({ name, cells: cells(name, WORKED_OFF) })),
      note: 'Each message is parsed, and its work is to look at it. The bare loop checks no envelope, counts no attempts, takes nothing over, and one handler that throws ends it.',
    },
    {
      title: 'publishing to a stream',
      columns: Object.values(PUBLISHED),
      rows: Object.entries(PACES).flatMap(([pace, how]) =>
        keys(PUBLISHERS).map((name) => ({ name: `${name}, ${how}`, cells: cells(name, PUBLISHED, `${pace} `) })),
      ),
      note: `Each of the ${CALLERS} callers publishes its next message when it has the receipt of its last one: what they publish in one pass of the event loop is one write.`,
    },
    {
      title: `from the publisher to the handler, ${RATE.toLocaleString('en')} messages a second at random`,
      columns: Object.values(UNDER_WAY),
      rows: keys(heard).map((name) => ({
        name: heard[name] === 'kafka' ? kafka! : heard[name]!,
        cells: cells(name, UNDER_WAY),
      })),
      note: 'For information: publisher, broker and subscriber are three processes on one machine.',
    },
  ];
  return {
    bench: 'pub-sub',
    at: new Date().toISOString(),
    shortened: sizeName !== 'full',
    machine: describeMachine(),
    versions: {
      ...versionsOf('ioredis', ...(kafka ? ['kafkajs'] : [])),
      Redis: /server ([\d.]+)/.exec(redis.about)?.[1] ?? '?',
    },
    rounds: rounds.rounds,
    noise: rounds.noise,
    tables,
    targets: targets(rounds),
  };
}

function targets({ ratio, of, difference }: Rounds<Way, string>): Target[] {
  const [bareLoop, group] = ['bare XREADGROUP and XACK', 'redis-streams, consumer group'] as const;
  return [
    {
      claim: 'messages per second, consumer group ÷ bare loop',
      unit: '×',
      measured: ratio(group, bareLoop, 'rate'),
      atLeast: 0.8,
    },
    {
      claim: `published per second, ${CALLERS} callers ÷ awaited one by one`,
      unit: '×',
      measured: of('redis-streams', 'gain'),
      atLeast: 5,
    },
    {
      claim: `p50 until the receipt, ${CALLERS} callers − awaited one by one`,
      unit: 'ms',
      measured: of('redis-streams', 'addedMs'),
      atMost: 0.5,
    },
    {
      claim: `p50 at ${RATE.toLocaleString('en')} a second, redis-streams − bare XADD`,
      unit: 'ms',
      measured: difference('redis-streams', 'bare XADD', 'paced p50Ms'),
      atMost: 0.5,
    },
  ];
}

const keys = <K extends string>(record: Partial<Record<K, unknown>>) => Object.keys(record) as K[];
const entries = <K extends string, V>(record: Partial<Record<K, V>>) => Object.entries(record) as [K, V][];
