/** A Kafka, or its double, behind fault proxies: one for each of its brokers, since clients are told their addresses. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import type { KafkaService } from '@patterns/services/kafka';
import { type IHeaders, Kafka, logLevel } from 'kafkajs';
import { OLDEST, type SubscribeOptions } from '../broker.ts';
import { KafkaBroker, type KafkaBrokerOptions, setAsideTopic } from '../kafka.ts';
import { consume } from '../kafka-consumer.ts';
import { kafkaPublisher } from '../kafka-publisher.ts';
import { decode, envelope, type PubSubError } from '../protocol.ts';
import type { BrokerRig } from './guarantees.ts';

export interface KafkaRig extends BrokerRig {
  readonly prefix: string;
  /** As `connect`, with further options. */
  connect(onProblem?: (problem: PubSubError) => void, options?: Partial<KafkaBrokerOptions>): Promise<KafkaBroker>;
  /** Past our code. */
  readonly kafka: Kafka;
}

export async function startKafkaRig({ brokers, double }: Pick<KafkaService, 'brokers' | 'double'>): Promise<KafkaRig> {
  await using owned = new AsyncDisposableStack();
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING });
  const prefix = `patterns.${randomBytes(6).toString('hex')}.`;
  // The double keeps topics and groups until it ends; Kafka would keep them for good.
  if (!double) owned.defer(() => removeAll(kafka, prefix));

  const proxies = new Map<string, Awaited<ReturnType<typeof startFaultProxy>>>();
  for (const address of new Set([...brokers, ...(await advertised(kafka))])) {
    proxies.set(address, owned.use(await startFaultProxy(`tcp://${address}`)));
  }
  const socketFactory = ({ host, port, onConnect }: { host: string; port: number; onConnect: () => void }) => {
    const proxy = new URL(proxies.get(`${host}:${port}`)?.url ?? '');
    return connect({ host: proxy.hostname, port: Number(proxy.port) }, onConnect);
  };

  const idempotent = !double;
  const publisher = owned.use(new KafkaBroker({ brokers, prefix, idempotent }));
  const raw = owned.use(kafkaPublisher(kafka, { idempotent }));
  let channels = 0;
  const rig: KafkaRig = {
    prefix,
    kafka,
    publisher,
    async connect(onProblem, options = {}) {
      const made = { brokers, prefix, idempotent, client: { socketFactory }, ...(onProblem && { onProblem }) };
      return cleanup.use(new KafkaBroker({ ...made, ...options }));
    },
    channel: async () => `news.${++channels}`,
    publishRaw: (channel, text) => raw.send(prefix + channel, { key: channel, value: text }),
    async whileCut(work) {
      for (const proxy of proxies.values()) proxy.refuse();
      for (const proxy of proxies.values()) proxy.cut();
      await work().finally(() => {
        for (const proxy of proxies.values()) proxy.accept();
      });
    },
    startStuckConsumer: (channel, group) =>
      startProcess(new URL('kafka-stuck-consumer.ts', import.meta.url), {
        args: [channel, group],
        env: { KAFKA_BROKERS: brokers.join(','), KAFKA_PREFIX: prefix },
      }),
    async setAside(channel) {
      const found: { id: string; reason: string }[] = [];
      const topic = setAsideTopic(prefix + channel);
      const consumer = await consume(kafka, {
        topic,
        after: OLDEST,
        work: async ({ value, headers }) => {
          found.push({ id: decode(String(value)).id, reason: String((headers as IHeaders).reason) });
          return true;
        },
        onProblem: () => {},
      });
      await until('what was set aside', () => found.length > 0);
      await consumer.close();
      return found;
    },
    connections: () => [...proxies.values()].reduce((sum, { connections }) => sum + connections, 0),
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
  const cleanup = owned.move();
  return rig;
}

/** `host:port` of every broker, as clients are told. */
async function advertised(kafka: Kafka): Promise<string[]> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const { brokers } = await admin.describeCluster();
    return brokers.map(({ host, port }) => `${host}:${port}`);
  } finally {
    await admin.disconnect();
  }
}

async function removeAll(kafka: Kafka, prefix: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const { groups } = await admin.listGroups();
    const groupIds = groups.map(({ groupId }) => groupId).filter((groupId) => groupId.startsWith(prefix));
    if (groupIds.length > 0) await admin.deleteGroups(groupIds);
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix));
    if (topics.length > 0) await admin.deleteTopics({ topics });
  } finally {
    await admin.disconnect();
  }
}

/** Subscribes, and queues what comes. */
export async function listen(broker: KafkaBroker, channel: string, options?: SubscribeOptions) {
  const heard = new EventQueue<{ data: unknown; position: string }>();
  const hear = ({ data }: { data: unknown }, { position = '' }: { position?: string }) =>
    heard.push({ data, position });
  return Object.assign(heard, { subscription: await broker.subscribe(channel, hear, options) });
}

/** A client, with a queue of what it reports. */
export async function connected(rig: KafkaRig) {
  const problems = new EventQueue<PubSubError>();
  const broker = await rig.connect((problem) => problems.push(problem));
  return {
    broker,
    crashed: () => problems.find('a crash', ({ message }) => /crashed/.test(message), { withinMs: 40_000 }),
    problems,
  };
}

export const say = ({ publisher }: KafkaRig, channel: string, data: unknown) =>
  publisher.publish(envelope(channel, data));
