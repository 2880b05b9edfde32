/**
 * Finds a Kafka, or what stands in for one: KAFKA_BROKERS; what docker-compose.yml publishes under its profile
 * `brokers`; librdkafka's mock cluster, a protocol double that must be reported as that.
 * Brokers that KAFKA_BROKERS names and that do not answer are an error, and never a reason to take others.
 */
import { connect } from 'node:net';
import { compose, composeKafkaAddress } from './compose.ts';
import { extras, findExtra, installCommand } from './extras.ts';
import { type FindOptions, reason, ServiceError } from './service.ts';
import { kafkaMockCluster, kafkaMockName, startKafkaMock } from './start-kafka-mock.ts';

/** Where a Kafka would come from. */
export type KafkaSource =
  | { from: 'environment'; brokers: string[]; mock: boolean }
  | { from: 'compose'; brokers: string[] }
  | { from: 'mock'; program: string };

export interface KafkaService extends AsyncDisposable {
  /** `host:port` of each: where a client asks for the others. */
  readonly brokers: readonly string[];
  readonly origin: KafkaSource['from'];
  /** What results are reported under: "kafka", or "kafka (librdkafka's mock cluster, a protocol double)". */
  readonly name: string;
  /** It is librdkafka's mock cluster. */
  readonly double: boolean;
  /** One line for people. */
  readonly about: string;
}

/** Looks, and starts nothing. Throws `invalid-url`, `unreachable`, or `not-installed` with the command. */
export async function locateKafka(options: FindOptions = {}): Promise<KafkaSource> {
  const { env = process.env, composePort = compose.kafka.port } = options;
  const given = brokersFromEnv(env);
  if (given) return { from: 'environment', brokers: given, mock: (await reach(given)).includes(kafkaMockCluster) };
  const published = composeKafkaAddress(composePort);
  // The identity that docker-compose.yml gives it: another Kafka on that port is somebody else's.
  const answer = await ask(published).catch(() => undefined);
  if (answer?.includes(compose.kafka.clusterId)) return { from: 'compose', brokers: [published] };
  const program = findExtra('kcat', env);
  if (program !== undefined) return { from: 'mock', program };
  const command = installCommand([extras.kcat], env);
  const own = command === undefined ? 'install kcat' : `run \`${command}\``;
  const real = 'run `docker compose --profile brokers up -d --wait`, or set KAFKA_BROKERS';
  throw new ServiceError('not-installed', `no Kafka: ${real}, or, for a protocol double, ${own}`);
}

function isDouble(source: KafkaSource): boolean {
  return source.from === 'mock' || (source.from === 'environment' && source.mock);
}

/** What results over this source are to be reported under. */
export function kafkaName(source: KafkaSource): string {
  return isDouble(source) ? `kafka (${kafkaMockName})` : 'kafka';
}

/** Brokers that answer. Throws a ServiceError whose message says what to do. */
export async function findKafka(options: FindOptions = {}): Promise<KafkaService> {
  const { env = process.env, signal } = options;
  const source = await locateKafka(options);
  signal?.throwIfAborted();
  const identity = { origin: source.from, name: kafkaName(source), double: isDouble(source) };
  if (source.from === 'mock') {
    return Object.assign(await startKafkaMock({ env, program: source.program, ...(signal && { signal }) }), identity);
  }
  const { from, brokers } = source;
  const about = `using ${from === 'environment' ? 'KAFKA_BROKERS' : 'docker compose on'} ${brokers.join(',')}`;
  return { ...identity, brokers, about, async [Symbol.asyncDispose]() {} };
}

function brokersFromEnv(env: NodeJS.ProcessEnv): string[] | undefined {
  if (!env.KAFKA_BROKERS) return undefined;
  const brokers = env.KAFKA_BROKERS.split(',').map((each) => each.trim());
  if (brokers.every((each) => /^[^\s:/@]+:\d{1,5}$/.test(each))) return brokers;
  throw new ServiceError(
    'invalid-url',
    'KAFKA_BROKERS is not of the form host:port,host:port: correct it, or unset it',
  );
}

/** One that answers is enough: it names the others. */
async function reach(brokers: string[]): Promise<Buffer> {
  try {
    return await Promise.any(brokers.map(ask));
  } catch (error) {
    throw new ServiceError(
      'unreachable',
      `KAFKA_BROKERS ${brokers.join(',')} does not answer (${reason(error)}): start that server, or unset KAFKA_BROKERS`,
      { cause: error },
    );
  }
}

// A server on this machine answers in milliseconds, one across an ocean in half a second.
const answerMs = 2_000;
const correlationId = 1;

/** A Metadata request (key 3, version 2) about no topic: the answer names the brokers and the cluster. Without TLS and
 *  without authentication. */
async function ask(address: string): Promise<Buffer> {
  const [host = '', port = ''] = address.split(':');
  const request = Buffer.alloc(18);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(3, 4);
  request.writeInt16BE(2, 6);
  request.writeInt32BE(correlationId, 8);
  request.writeInt16BE(-1, 12); // no client id; what follows is the empty array of topics
  const socket = connect({ host, port: Number(port), signal: AbortSignal.timeout(answerMs) });
  socket.write(request);
  let answer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    answer = Buffer.concat([answer, chunk]);
    if (answer.length < 8) continue;
    if (answer.readInt32BE(4) !== correlationId) throw new Error('what listens there is no Kafka');
    if (answer.length >= 4 + answer.readInt32BE(0)) return answer;
  }
  throw new Error('the connection was closed');
}
