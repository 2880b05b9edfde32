/**
 * What it costs to split: one order, until the customer has an answer, as one process does it and as nine do; who of the nine uses the
 * processor's time; and what the split ones are worth when payment gets slow.
 */
import { createDatabase } from '@patterns/services/database';
import { redisKeyspace } from '@patterns/services/keyspace';
import { findPostgres } from '@patterns/services/postgres';
import { findRedis } from '@patterns/services/redis';
import * as start from './microservices-contestants.ts';
import { BEHIND, type Contestant, cpuMsOf, NAIVE, ONE, TOWN } from './microservices-contestants.ts';
import type { OrdersLoad } from './microservices-load.ts';
import { startChild } from './processes.ts';
import { describeMachine, type Results, type Table, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';

const SIZES = {
  full: { rounds: 5, customers: 8, durationMs: 1_500, warmUpMs: 2_000, slowRounds: 3, slowMs: 2_000, slowOrders: 40 },
  quick: { rounds: 2, customers: 8, durationMs: 800, warmUpMs: 800, slowRounds: 1, slowMs: 2_000, slowOrders: 30 },
  tiny: { rounds: 1, customers: 2, durationMs: 50, warmUpMs: 1, slowRounds: 1, slowMs: 100, slowOrders: 2 },
};
/** One order every so often: what none of them has trouble with. */
const EVERY_MS = 100;

const FIGURES = {
  aloneMs: 'p50 of one customer, ms',
  p50Ms: 'p50 of all, ms',
  p99Ms: 'p99 of all, ms',
  rate: 'orders per second',
  cpuMs: 'CPU per order, ms',
} as const;
const SLOW = { p50Ms: 'p50, ms', p99Ms: 'p99, ms', paid: 'answered as paid, %' } as const;

/** Reports what splitting costs, and what it is good for. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', say, signal } = options;
  const { rounds: count, customers, durationMs, warmUpMs, slowRounds, slowMs, slowOrders } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const found = { ...(say && { progress: say }), ...(signal && { signal }) };
  const [postgres, redis] = [stack.use(await findPostgres(found)), stack.use(await findRedis(found))];
  const { prefix: redisPrefix } = stack.use(redisKeyspace(redis.url, 'bench'));
  const { url: databaseUrl } = stack.use(await createDatabase(postgres.url, 'bench'));
  const ground = { stack, databaseUrl, redisUrl: redis.url, redisPrefix, signal };
  say?.('starting the town: nine processes');
  const [one, naive, [town, behind]] = await Promise.all([
    start.startOne(ground),
    start.startNaive(ground),
    start.startTowns(ground),
  ]);
  const contestants: Record<string, Contestant> = { [ONE]: one, [NAIVE]: naive, [BEHIND]: behind, [TOWN]: town };
  const names = Object.keys(contestants);
  const load = stack.use(startChild<OrdersLoad>(new URL('microservices-load.ts', import.meta.url)));
  const order = ({ url, headers, body }: Contestant, by: Parameters<OrdersLoad['run']>[0]['by']) =>
    load.ask('run', { url, headers: headers(), body, by });

  for (const name of names) {
    say?.(`warming up: ${name}`);
    await order(contestants[name]!, { customers, durationMs: warmUpMs });
    await contestants[name]!.settled();
  }
  const rounds = await runRounds<string, string>(count, names, measure, options);
  const slow = await runRounds<string, keyof typeof SLOW>(slowRounds, [NAIVE, TOWN], measureSlow, options);
  return {
    bench: 'microservices',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express', 'pg', 'ioredis', 'undici'),
    rounds: count,
    noise: rounds.noise,
    tables: [splitTable(), shareTable(), slowTable()],
    targets: [
      {
        claim: 'added to p50 of one customer by the gateway',
        unit: 'ms',
        measured: rounds.difference(TOWN, BEHIND, 'aloneMs'),
        atMost: 5,
      },
      {
        claim: 'p50 of an order with a slow payment, the town ÷ naive',
        unit: '×',
        measured: slow.ratio(TOWN, NAIVE, 'p50Ms'),
        atMost: 0.05,
      },
    ],
  };

  async function measure(name: string): Promise<Record<string, number>> {
    const contestant = contestants[name]!;
    const before = cpuOf(contestant);
    const alone = await order(contestant, { customers: 1, durationMs: durationMs / 2 });
    const all = await order(contestant, { customers, durationMs });
    await contestant.settled(); // what goes on after the answer is work too
    const orders = alone.orders + all.orders;
    const used = Object.entries(cpuOf(contestant)).map(([who, ms]) => [who, (ms - before[who]!) / orders] as const);
    const { p50Ms, p99Ms } = all;
    return {
      ...Object.fromEntries(used),
      cpuMs: used.reduce((sum, [, ms]) => sum + ms, 0),
      aloneMs: alone.p50Ms,
      p50Ms,
      p99Ms,
      rate: all.orders / (all.tookMs / 1_000),
    };
  }

  async function measureSlow(name: string): Promise<Record<keyof typeof SLOW, number>> {
    const contestant = contestants[name]!;
    contestant.toPayment!.delay(slowMs / 2); // in each direction
    const { p50Ms, p99Ms, paid, orders } = await order(contestant, { everyMs: EVERY_MS, orders: slowOrders });
    contestant.toPayment!.delay(0);
    contestant.toPayment!.cut();
    await contestant.settled();
    return { p50Ms, p99Ms, paid: (100 * paid) / orders };
  }

  function splitTable(): Table {
    return {
      title: `One order, from asking to the answer: ${customers} customers, who order again at once`,
      columns: Object.values(FIGURES),
      rows: rowsOf(rounds, names, Object.keys(FIGURES)),
      note:
        'CPU is that of all processes of ours, until nothing is under way any more: in the town that is cooking, driving and telling as ' +
        'well, which the others leave out. PostgreSQL and Redis are not in it. All of them, and the customers, share the same cores.',
    };
  }

  function shareTable(): Table {
    const who = Object.keys(town.processes());
    const rows = who.map((name) => ({ name, cells: [cell(rounds, TOWN, name)] }));
    return { title: 'Who of the town uses it', columns: ['CPU per order, ms'], rows };
  }

  function slowTable(): Table {
    return {
      title: `Payment answers ${slowMs / 1_000} s later than usual: an order every ${EVERY_MS} ms`,
      columns: Object.values(SLOW),
      rows: rowsOf(slow, [NAIVE, TOWN], Object.keys(SLOW)),
      note: 'The town waits for one second, for the first ones; then the breaker is open, and an order is taken and paid later.',
    };
  }
}

const cpuOf = ({ processes }: Contestant): Record<string, number> =>
  Object.fromEntries(Object.entries(processes()).map(([who, pid]) => [who, cpuMsOf(pid) ?? Number.NaN]));

/** What this machine does not tell has no figure. */
function cell<F extends string>(rounds: Rounds<string, F>, name: string, figure: F) {
  const spread = rounds.of(name, figure);
  return Number.isNaN(spread.median) ? null : spread;
}

const rowsOf = <F extends string>(rounds: Rounds<string, F>, names: string[], figures: string[]) =>
  names.map((name) => ({ name, cells: figures.map((figure) => cell(rounds, name, figure as F)) }));
