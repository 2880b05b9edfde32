/**
 * Many subscribers, one ticker: what one delivery costs the server, at a rate that anybody holds and at one that only few do.
 *
 * The figure that counts is processor time per delivery: on two cores that a server shares with its load generator, rates
 * and latencies say as much about the one as about the other.
 */
import { type DeliveryFigure, measure, SIZES } from './delivery-measure.ts';
import { deliveryTables, findFeed } from './delivery-report.ts';
import { describeMachine, type Results, type Target, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';
import type { Contestant } from './sse-server.ts';

const FILES = { server: new URL('sse-server.ts', import.meta.url), load: new URL('sse-load.ts', import.meta.url) };

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
  const measureOne = (name: Contestant) => measure(FILES, name, SIZES[size], env ?? {});
  const rounds = await runRounds(SIZES[size].rounds, names, measureOne, options);
  signal?.throwIfAborted();

  return {
    bench: 'sse',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('better-sse', 'express'),
    rounds: rounds.rounds,
    noise: rounds.noise,
    tables: deliveryTables(rounds, names, SIZES[size]),
    targets: targets(rounds),
  };
}

function targets({ of, ratio }: Rounds<Contestant, DeliveryFigure>): Target[] {
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
