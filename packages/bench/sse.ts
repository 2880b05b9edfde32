/**
 * Many subscribers, one ticker: what one delivery costs the server, at a rate that anybody holds and at one that only few do.
 *
 * The figure that counts is processor time per delivery: on two cores that a server shares with its load generator, rates
 * and latencies say as much about the one as about the other.
 */
import { redisKeyspace } from '@patterns/services/keyspace';
import { findRedis } from '@patterns/services/redis';
import { ServiceError } from '@patterns/services/service';
import { describeMachine, type Results, type Table, type Target, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';
import { measure, PER_RATE, RATES } from './sse-measure.ts';
import type { Contestant } from './sse-server.ts';

type Figure = keyof Awaited<ReturnType<typeof measure>>;

const SIZES = {
  full: { rounds: 5, idle: 4_000, subscribers: 1_000, slowMs: 5_000, fastMs: 3_000, warmUpMs: 500 },
  quick: { rounds: 3, idle: 1_000, subscribers: 1_000, slowMs: 700, fastMs: 500, warmUpMs: 150 },
  tiny: { rounds: 1, idle: 200, subscribers: 60, slowMs: 200, fastMs: 100, warmUpMs: 20 },
};

/** Reports what `ours` reached beside its peers. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', say, signal } = options;
  await using stack = new AsyncDisposableStack();
  const env = await findFeed(stack, options);
  const names: Contestant[] = [
    'bare node:http',
    'ours',
    'better-sse',
    ...(env ? (['ours, feed in Redis'] as const) : []),
  ];
  if (!env) say?.('there is no Redis: the row with the feed in Redis is left out');
  const rounds = await runRounds(SIZES[size].rounds, names, (name) => measure(name, SIZES[size], env ?? {}), options);
  signal?.throwIfAborted();

  const tables: Table[] = (['slow', 'fast'] as const).map((pace) => ({
    title: `${SIZES[size].subscribers.toLocaleString('en')} subscribers, ${RATES[pace].toLocaleString('en')} events a second, 200 bytes each`,
    columns: Object.values(PER_RATE),
    rows: names.map((name) => ({
      name,
      cells: (Object.keys(PER_RATE) as (keyof typeof PER_RATE)[]).map((figure) => rounds.of(name, `${pace} ${figure}`)),
    })),
    note: `Offered: ${(RATES[pace] * SIZES[size].subscribers).toLocaleString('en')} deliveries a second, each event by a callback of its own. Who delivers fewer is saturated: its events wait before they are sent, longer and longer, and its latency says for how long the run lasted.`,
  }));
  tables.push({
    title: `${SIZES[size].idle.toLocaleString('en')} idle streams`,
    columns: ['resident memory per stream, KB'],
    rows: names.map((name) => ({ name, cells: [rounds.of(name, 'idleKb')] })),
    note: 'Resident memory with the streams and without, after a garbage collection that gives free pages back. What the kernel keeps for a socket is not in it.',
  });
  return {
    bench: 'sse',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('better-sse', 'express'),
    rounds: rounds.rounds,
    noise: rounds.noise,
    tables,
    targets: targets(rounds),
  };
}

function targets({ of, ratio }: Rounds<Contestant, Figure>): Target[] {
  return [
    {
      claim: '10 events/s: CPU per delivery, ours ÷ bare node:http',
      unit: '×',
      measured: ratio('ours', 'bare node:http', 'slow cpuMicros'),
      atMost: 1,
    },
    {
      claim: '10 events/s: p99, ours ÷ bare node:http',
      unit: '×',
      measured: ratio('ours', 'bare node:http', 'slow p99Ms'),
      atMost: 1,
    },
    {
      claim: '1,000 events/s: deliveries per CPU second, ours ÷ better-sse',
      unit: '×',
      measured: ratio('better-sse', 'ours', 'fast cpuMicros'),
      atLeast: 20,
    },
    { claim: '1,000 events/s: p99 of ours', unit: 'ms', measured: of('ours', 'fast p99Ms'), atMost: 50 },
    {
      claim: '1,000 events/s: deliveries of ours that were lost',
      unit: '',
      measured: of('ours', 'fast lost'),
      atMost: 0,
    },
    {
      claim: 'memory per idle stream, ours ÷ bare node:http',
      unit: '×',
      measured: ratio('ours', 'bare node:http', 'idleKb'),
      atMost: 1.2,
    },
  ];
}

/** A key in a Redis, if one can be had. */
async function findFeed(stack: AsyncDisposableStack, { say, signal }: BenchOptions) {
  try {
    const redis = stack.use(await findRedis({ ...(say && { progress: say }), ...(signal && { signal }) }));
    const { prefix } = stack.use(redisKeyspace(redis.url, 'bench'));
    return { REDIS_URL: redis.url, FEED_KEY: `${prefix}feed` };
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'not-installed') return undefined;
    throw error;
  }
}
