/**
 * librdkafka's mock cluster, run by `kcat`: it speaks Kafka's protocol and keeps its records in memory.
 *
 * A protocol double, and not Kafka: no disk, no replication, no retention, topics of four partitions that are made when
 * they are first named, other ports after a restart. It stands in where no Kafka is to be had, and says so.
 */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extras, findExtra } from './extras.ts';
import { type FindOptions, ServiceError } from './service.ts';
import { type Supervised, supervise } from './supervise.ts';

/** What it is to be called wherever results are shown. */
export const kafkaMockName = "librdkafka's mock cluster, a protocol double";

/** What its cluster's id, which every client is told, begins with. */
export const kafkaMockCluster = 'mockCluster';

export interface StartedKafkaMock extends AsyncDisposable, Pick<Supervised, 'directory' | 'pid' | 'kill'> {
  /** `host:port` of each broker. */
  readonly brokers: string[];
  /** One line for people. */
  readonly about: string;
}

export interface StartKafkaMockOptions extends Pick<FindOptions, 'env' | 'signal'> {
  /** The program; found on PATH unless given. */
  program?: string;
  /** So that records and groups are spread over several connections, as they are in Kafka. Default 3. */
  brokers?: number;
}

/** Starts one that answers when this resolves (0.1 s). Throws `not-installed` or `start-failed`. */
export async function startKafkaMock(options: StartKafkaMockOptions = {}): Promise<StartedKafkaMock> {
  const { env = process.env, signal, brokers = 3 } = options;
  const program = options.program ?? findExtra('kcat', env);
  if (program === undefined)
    throw new ServiceError('not-installed', `no ${extras.kcat.programs.join(' and no ')} on PATH`);
  // The cluster lives inside a client; this one waits for records of a topic that nobody writes to.
  const args = ['-C', '-q', '-b', 'mock:1', '-t', 'keepalive', '-X', `test.mock.num.brokers=${brokers}`];
  const supervised = await supervise(
    {
      directory: join(tmpdir(), `patterns-kafka-mock-${randomBytes(6).toString('hex')}`),
      server: { file: program, args },
      ready: 'Mock cluster enabled',
      stopSignal: 'SIGKILL',
    },
    signal && { signal },
  );
  // "... bootstrap.servers and security.protocol ignored and replaced with 127.0.0.1:33059,127.0.0.1:40011"
  const addresses = supervised.readyLine.split(' ').at(-1)?.split(',') ?? [];
  return Object.assign(supervised, {
    brokers: addresses,
    about: `started ${kafkaMockName}, on ${addresses.join(',')}, gone when this ends`,
  });
}
