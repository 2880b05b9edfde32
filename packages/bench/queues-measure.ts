/** One measurement of the queues benchmark, with processes of its own and a queue that nobody has used before. */
import { createDatabase } from '@patterns/services/database';
import { Redis } from 'ioredis';
import pg from 'pg';
import { type Child, startChild } from './processes.ts';
import { type ContestantName, isOnRedis } from './queues-contestants.ts';
import type { QueueProducer } from './queues-producer.ts';
import type { QueueWorker } from './queues-worker.ts';

/** Jobs a second: a rate that nobody has to hurry for. */
export const RATE = 200;

export interface Size {
  /** Jobs of a backlog before the measuring begins, while it is measured, and after it. */
  warmUp: number;
  count: number;
  rest: number;
  pacedMs: number;
}

export interface Servers {
  redisUrl: string;
  postgresUrl: string;
}

/** For all who are measured, one after the other. */
export function startProducer(): Child<QueueProducer> {
  return startChild<QueueProducer>(new URL('queues-producer.ts', import.meta.url));
}

export type Figures = { cpuMicros: number; rate: number; p50Ms: number; p99Ms: number };

/** A backlog, and then jobs that come one by one. */
export async function measure(
  name: ContestantName,
  producer: Child<QueueProducer>,
  servers: Servers,
  size: Size,
): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const url = isOnRedis(name)
    ? await emptied(servers.redisUrl)
    : stack.use(await createDatabase(servers.postgresUrl, 'bench')).url;
  stack.defer(() => producer.ask('close', undefined));
  const { warmUp, count, rest, pacedMs } = size;
  await producer.ask('fill', { name, url, jobs: warmUp + count + rest });
  // In production autovacuum has been there; without it the planner takes the table for empty, and the peers in PostgreSQL collapse.
  if (!isOnRedis(name)) await analyze(url);
  const file = new URL('queues-worker.ts', import.meta.url);
  const worker = stack.use(startChild<QueueWorker>(file, { args: [name, url] }));
  const drained = await worker.ask('drain', { warmUp, count, rest });
  const jobs = await producer.ask('paced', { rate: RATE, durationMs: pacedMs });
  return { ...drained, ...(await worker.ask('heard', { jobs })) };
}

async function emptied(url: string): Promise<string> {
  const redis = new Redis(url);
  await redis.flushall();
  await redis.quit();
  return url;
}

async function analyze(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query('analyze');
  await client.end();
}
