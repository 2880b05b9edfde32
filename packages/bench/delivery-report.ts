/** What the benchmarks of deliveries report alike: the same tables, and a row whose events go through a Redis. */
import { redisKeyspace } from '@patterns/services/keyspace';
import { findRedis } from '@patterns/services/redis';
import { ServiceError } from '@patterns/services/service';
import { type DeliveryFigure, PER_RATE, RATES, type Size } from './delivery-measure.ts';
import type { Table } from './results.ts';
import type { BenchOptions, Rounds } from './rounds.ts';

/** A table per rate, and one of idle streams. */
export function deliveryTables<Name extends string>(
  { of }: Rounds<Name, DeliveryFigure>,
  names: readonly Name[],
  { subscribers, idle }: Size,
): Table[] {
  const tables: Table[] = (['slow', 'fast'] as const).map((pace) => ({
    title: `${subscribers.toLocaleString('en')} subscribers, ${RATES[pace].toLocaleString('en')} events a second, 200 bytes each`,
    columns: Object.values(PER_RATE),
    rows: names.map((name) => ({
      name,
      cells: (Object.keys(PER_RATE) as (keyof typeof PER_RATE)[]).map((figure) => of(name, `${pace} ${figure}`)),
    })),
    note: `Offered: ${(RATES[pace] * subscribers).toLocaleString('en')} deliveries a second, each event by a callback of its own. Who delivers fewer is saturated: its events wait before they are sent, longer and longer, and its latency says for how long the run lasted.`,
  }));
  tables.push({
    title: `${idle.toLocaleString('en')} idle streams`,
    columns: ['resident memory per stream, KB'],
    rows: names.map((name) => ({ name, cells: [of(name, 'idleKb')] })),
    note: 'Resident memory with these streams and without, beside half as many that were there before, after a garbage collection that gives free pages back. What the kernel keeps for a socket is not in it.',
  });
  return tables;
}

/** The environment of a server whose feed is in Redis, on a key of its own; undefined when no Redis can be had. */
export async function findFeed(stack: AsyncDisposableStack, { say, signal }: BenchOptions) {
  try {
    const redis = stack.use(await findRedis({ ...(say && { progress: say }), ...(signal && { signal }) }));
    const { prefix } = stack.use(redisKeyspace(redis.url, 'bench'));
    return { REDIS_URL: redis.url, FEED_KEY: `${prefix}feed` };
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'not-installed') return undefined;
    throw error;
  }
}
