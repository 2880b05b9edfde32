/**
 * One contestant of a benchmark of deliveries to many subscribers, from its start to its end: idle streams, then a few
 * events, then many. Which pattern it is, the server's and the subscribers' files know.
 */
import { until } from '@patterns/kit/testing/until';
import type { DeliveryLoad } from './delivery-load.ts';
import type { DeliveryServer } from './delivery-server.ts';
import { startChild } from './processes.ts';

/** Events a second. */
export const RATES = { slow: 10, fast: 1_000 } as const;

/** What is measured at each rate, as it is called in a table. */
export const PER_RATE = {
  cpuMicros: 'server CPU per delivery, µs',
  deliveries: 'deliveries per second',
  p50Ms: 'p50, ms',
  p99Ms: 'p99, ms',
  bytes: 'bytes per delivery',
  lost: 'lost',
  serverBusy: 'server busy, %',
  loadBusy: 'load generator busy, %',
} as const;
type Figures = Record<keyof typeof PER_RATE, number>;

export interface Size {
  /** So many idle streams that the pages on which a heap grows do not count; after half as many that are not weighed. */
  idle: number;
  subscribers: number;
  warmUpMs: number;
  /** How long events are published at each rate. */
  slowMs: number;
  fastMs: number;
}

/** The same for every pattern, so that their figures stand beside each other. */
export const SIZES = {
  full: { rounds: 5, idle: 4_000, subscribers: 1_000, slowMs: 5_000, fastMs: 3_000, warmUpMs: 500 },
  quick: { rounds: 3, idle: 1_000, subscribers: 1_000, slowMs: 700, fastMs: 500, warmUpMs: 150 },
  tiny: { rounds: 1, idle: 200, subscribers: 60, slowMs: 200, fastMs: 100, warmUpMs: 20 },
} satisfies Record<string, Size & { rounds: number }>;

/** The files that a pattern's benchmark consists of; their processes answer with `answerAsServer` and `answerAsLoad`. */
export interface Files {
  server: URL;
  load: URL;
}

export type DeliveryFigure = keyof Awaited<ReturnType<typeof measure>>;

/** Starts the contestant and its subscribers as processes of their own, and ends them. */
export async function measure(files: Files, name: string, size: Size, env: Record<string, string>) {
  await using server = startChild<DeliveryServer>(files.server, { args: [name], env });
  await using load = startChild<DeliveryLoad>(files.load);
  let streams = 0;
  const open = async (count: number) => {
    streams += count;
    await load.ask('open', await server.ask('addresses', count));
    await until(`${streams} streams`, async () => (await server.ask('streams', undefined)) === streams);
  };

  const close = async () => {
    streams = 0;
    await load.ask('close', undefined);
    await until('no stream', async () => (await server.ask('streams', undefined)) === 0);
  };

  // What the first streams cost once (compiled code, pages of the heap) is not the price of a stream: the next ones are weighed.
  await open(size.idle / 2);
  const before = await server.ask('usage', { collect: true });
  await open(size.idle);
  const after = await server.ask('usage', { collect: true });
  await close();
  await open(size.subscribers);

  const usage = () => Promise.all([server.ask('usage', { collect: false }), load.ask('usage', { collect: false })]);
  async function pace(rate: number, durationMs: number): Promise<Figures> {
    await load.ask('reset', undefined);
    const [server0, load0] = await usage();
    const startedAt = performance.now();
    const events = await server.ask('publish', { rate, durationMs });
    const received = await load.ask('received', { events });
    const micros = (performance.now() - startedAt) * 1_000;
    const [server1, load1] = await usage();
    const { deliveries } = received;
    return {
      cpuMicros: (server1.cpuMicros - server0.cpuMicros) / deliveries,
      deliveries: deliveries / (micros / 1e6),
      p50Ms: received.p50Ms,
      p99Ms: received.p99Ms,
      bytes: received.bytes / deliveries,
      lost: received.lost,
      serverBusy: ((server1.cpuMicros - server0.cpuMicros) / micros) * 100,
      loadBusy: ((load1.cpuMicros - load0.cpuMicros) / micros) * 100,
    };
  }
  await pace(RATES.fast, size.warmUpMs);
  const slow = prefixed('slow', await pace(RATES.slow, size.slowMs));
  const fast = prefixed('fast', await pace(RATES.fast, size.fastMs));
  return { idleKb: (after.residentBytes - before.residentBytes) / size.idle / 1_000, ...slow, ...fast };
}

/** Figures of both rates beside each other: `slow p99Ms`, `fast p99Ms`. */
function prefixed<P extends string>(prefix: P, figures: Figures) {
  const entries = Object.entries(figures).map(([name, value]) => [`${prefix} ${name}`, value]);
  return Object.fromEntries(entries) as Record<`${P} ${keyof Figures}`, number>;
}
