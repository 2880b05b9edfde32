/**
 * What a queue costs: jobs that do nothing, a backlog of them and one by one, beside BullMQ, graphile-worker, pg-boss and bare loops.
 * And what a queue gives: how long customers wait for their answer and for their payment, with one and without.
 */
import { findPostgres } from '@patterns/services/postgres';
import { startPostgres } from '@patterns/services/start-postgres';
import { startRedis } from '@patterns/services/start-redis';
import { LOADS, measurePayments, openMarket, type Way } from './queues-answers.ts';
import { CONTESTANTS, type ContestantName } from './queues-contestants.ts';
import { AT_A_TIME, CAPACITY, MAY_WAIT, WORK_MS } from './queues-limits.ts';
import { measure, RATE, type Size, startProducer } from './queues-measure.ts';
import { GUARANTEES } from './queues-notes.ts';
import { describeMachine, type Results, type Table, type Target, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const SIZES: Record<NonNullable<BenchOptions['size']>, Size & { rounds: number; customersMs: number }> = {
  full: { rounds: 5, warmUp: 3_000, count: 10_000, rest: 1_000, pacedMs: 1_200, customersMs: 1_000 },
  quick: { rounds: 1, warmUp: 2_000, count: 4_000, rest: 1_000, pacedMs: 500, customersMs: 600 },
  tiny: { rounds: 1, warmUp: 10, count: 20, rest: 10, pacedMs: 30, customersMs: 30 },
};

const DRAINED = { rate: 'jobs per second', cpuMicros: 'worker CPU per job, µs' } as const;
const UNDER_WAY = { p50Ms: 'p50 until the handler, ms', p99Ms: 'p99, ms' } as const;
const PAID = {
  answerP50Ms: 'answer p50, ms',
  answerP99Ms: 'answer p99, ms',
  doneP50Ms: 'done p50, ms',
  doneP99Ms: 'done p99, ms',
  refusedPercent: 'refused, %',
} as const;

const NAMES = Object.keys(CONTESTANTS) as ContestantName[];
const PAYMENTS = LOADS.flatMap((load) =>
  (['direct', 'queued'] as const).map((way) => ({ name: nameOf(way, load), way, load })),
);

/** Reports what a queue costs and gives. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size: sizeName = 'full', signal } = options;
  const size = SIZES[sizeName];
  await using stack = new AsyncDisposableStack();
  const start = signal && { signal };
  const redis = stack.use(await startRedis(start));
  // Tests have one already; figures are those of one that nobody else uses.
  const postgres = stack.use(await (sizeName === 'tiny' ? findPostgres(start) : startPostgres(start)));
  const servers = { redisUrl: redis.url, postgresUrl: postgres.url };
  const producer = stack.use(startProducer());
  const market = openMarket(stack, stack.use(await startRedis(start)).url);

  const ways = new Map<string, () => Promise<Record<string, number>>>();
  for (const name of NAMES) ways.set(name, () => measure(name, producer, servers, size));
  for (const { name, way, load } of PAYMENTS)
    ways.set(name, () => measurePayments(way, load, market, size.customersMs));
  const rounds = await runRounds(size.rounds, [...ways.keys()], (name) => ways.get(name)!(), options);

  const cells = (name: string, figures: Record<string, string>) =>
    Object.keys(figures).map((figure) => rounds.of(name, figure));
  const backlog = (size.warmUp + size.count + size.rest).toLocaleString('en');
  const tables: Table[] = [
    {
      title: `jobs that do nothing: a backlog of ${backlog}, and then ${RATE} a second at random; one worker process`,
      columns: [...Object.values(DRAINED), ...Object.values(UNDER_WAY)],
      rows: NAMES.map((name) => ({ name, cells: cells(name, { ...DRAINED, ...UNDER_WAY }) })),
      note: GUARANTEES,
    },
    {
      title: `payments of ${WORK_MS} ms, ${AT_A_TIME} at a time, by how many come: 1 × is ${CAPACITY} a second`,
      columns: Object.values(PAID),
      rows: PAYMENTS.map(({ name }) => ({ name, cells: cells(name, PAID) })),
      note: `For ${size.customersMs.toLocaleString('en')} ms, then no more come. In either way ${MAY_WAIT} may wait, and who comes then is refused (503). A queue makes no payment sooner: it makes the answer sooner.`,
    },
  ];
  return {
    bench: 'queues',
    at: new Date().toISOString(),
    shortened: sizeName !== 'full',
    machine: describeMachine(),
    versions: {
      ...versionsOf('bullmq', 'graphile-worker', 'pg-boss', 'ioredis', 'pg'),
      Redis: /server ([\d.]+)/.exec(redis.about)?.[1] ?? '?',
      PostgreSQL: /PostgreSQL ([\d.]+)/.exec(postgres.about)?.[1] ?? '?',
    },
    rounds: rounds.rounds,
    noise: rounds.noise,
    tables,
    targets: targets(rounds),
  };
}

function nameOf(way: Way, load: number): string {
  return `${way === 'direct' ? 'done before the answer' : 'queued in Redis'}, ${load} ×`;
}

function targets({ ratio, of }: Rounds<string, string>): Target[] {
  const [redis, postgres] = ['redis, ours', 'postgres, ours, held by a transaction'] satisfies ContestantName[];
  const faster = (one: string, other: ContestantName, atLeast: number): Target => {
    return { claim: `jobs per second, ${one} ÷ ${other}`, unit: '×', measured: ratio(one, other, 'rate'), atLeast };
  };
  const prompt = (name: string, atMost: number): Target => {
    return { claim: `p50 until the handler, ${name}`, unit: 'ms', measured: of(name, 'p50Ms'), atMost };
  };
  return [
    faster(redis!, 'BullMQ', 6),
    prompt(redis!, 1),
    faster(postgres!, 'BullMQ', 6),
    faster(postgres!, 'graphile-worker, batched', 2),
    prompt(postgres!, 5),
  ];
}
