/**
 * What it costs to go through a sidecar: processor time of the sidecar's process for a request, and how much later the answer
 * comes than from the app itself. App, sidecar and load generator are a process each.
 *
 * Clients come over loopback, the app is asked over a Unix socket (express-http-proxy as it comes: over loopback).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { redisKeyspace } from '@patterns/services/keyspace';
import { findRedis } from '@patterns/services/redis';
import { startChild } from './processes.ts';
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, runRounds } from './rounds.ts';
import type { App } from './sidecar-app.ts';
import type { Contestant, Measured } from './sidecar-contestant.ts';
import type { Load } from './sidecar-load.ts';

const SIZES = {
  full: { rounds: 7, connections: 32, durationMs: 1_500, warmUp: { requests: 20_000, maxMs: 10_000 } },
  quick: { rounds: 3, connections: 32, durationMs: 600, warmUp: { requests: 5_000, maxMs: 3_000 } },
  tiny: { rounds: 1, connections: 4, durationMs: 60, warmUp: { requests: 50, maxMs: 100 } },
};

const DIRECT = 'the app itself, no sidecar';
const EXPRESS = 'express engine, log and limit';
const UNDICI = 'undici engine, log and limit';
const BARE = 'bare forwarding with undici';
const PLAIN = 'express-http-proxy, as it comes';
const LIBRARIES = 'express-http-proxy as it comes, log and limit';
const WITHOUT = 'undici engine, no log, no limit';
const SIDECARS: readonly Contestant[] = [EXPRESS, UNDICI, WITHOUT, LIBRARIES, PLAIN, BARE];

const FIGURES = {
  perCpuSecond: 'requests per CPU second',
  cpuMicros: 'CPU per request, µs',
  aloneMs: 'p50 of one client, ms',
  p50Ms: 'p50 of all, ms',
  p99Ms: 'p99 of all, ms',
  rate: 'requests per second',
  residentMb: 'resident memory, MB',
} as const;
type Figure = keyof typeof FIGURES;

/** Reports what each way to the app costs. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', say, signal } = options;
  const { rounds: count, connections, durationMs, warmUp } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await findRedis({ ...(say && { progress: say }), ...(signal && { signal }) }));
  const keyspace = stack.use(redisKeyspace(redis.url, 'bench'));
  const directory = await mkdtemp(join(tmpdir(), 'bench-sidecar-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));

  const APP_SOCKET = join(directory, 'app.sock');
  const app = stack.use(startChild<App>(new URL('sidecar-app.ts', import.meta.url), { env: { APP_SOCKET } }));
  const appUrl = await app.ask('url', undefined);
  const contestants = new Map([[DIRECT as string, { server: app, url: appUrl }]]);
  const file = new URL('sidecar-contestant.ts', import.meta.url);
  // The smallest size is for a test, which has no time for those that are like another.
  const sidecars = size === 'tiny' ? SIDECARS.filter((name) => name !== WITHOUT && name !== PLAIN) : SIDECARS;
  const children = sidecars.map((name) => {
    const env = { APP_SOCKET, APP_URL: appUrl, REDIS_URL: redis.url, REDIS_PREFIX: `${keyspace.prefix}${name}:` };
    return [name, stack.use(startChild<Measured>(file, { args: [name], env }))] as const;
  });
  for (const [name, server] of children) contestants.set(name, { server, url: await server.ask('url', undefined) });
  const load = stack.use(startChild<Load>(new URL('sidecar-load.ts', import.meta.url)));

  // A function is compiled for good after some ten thousand calls: before that, the fast ones look like the slow ones.
  for (const [name, { url }] of contestants) {
    say?.(`warming up: ${name}`);
    await load.ask('run', { url, connections, durationMs: warmUp.maxMs, maxRequests: warmUp.requests });
  }
  const names = [...contestants.keys()];
  const rounds = await runRounds<string, Figure>(count, names, measure, options);
  const columns = Object.keys(FIGURES) as Figure[];
  return {
    bench: 'sidecar',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express', 'express-http-proxy', 'undici', 'ioredis'),
    rounds: count,
    noise: rounds.noise,
    tables: [
      {
        title: `GET /api/data through a sidecar, ${connections} connections kept open`,
        columns: Object.values(FIGURES),
        rows: names.map((name) => ({
          name,
          cells: columns.map((figure) => rounds.of(name, figure)),
        })),
        note:
          'CPU is that of the process in the first column: the sidecar, or the app where there is none; Redis, app and load are not ' +
          'in it. On two cores that all of them share, the latencies of all connections say as much about the others: what a sidecar ' +
          'adds is read off one client that asks alone. express-http-proxy as it comes closes every connection, on both sides.',
      },
    ],
    targets: [
      {
        claim: 'requests per CPU second with log and limit, undici engine ÷ express engine',
        unit: '×',
        measured: rounds.ratio(UNDICI, EXPRESS, 'perCpuSecond'),
        atLeast: 4,
      },
      {
        claim: 'requests per CPU second with log and limit, undici engine ÷ express-http-proxy as it comes',
        unit: '×',
        measured: rounds.ratio(UNDICI, LIBRARIES, 'perCpuSecond'),
        atLeast: 4,
      },
      // A client next door, who asks alone: what is felt of a sidecar is its own time and a hop more.
      { claim: 'added to p50 by the undici engine', unit: 'ms', measured: added(UNDICI), atMost: 1 },
      { claim: 'added to p50 by the express engine', unit: 'ms', measured: added(EXPRESS), atMost: 2 },
    ],
  };

  function added(name: string) {
    return rounds.difference(name, DIRECT, 'aloneMs');
  }

  async function measure(name: string): Promise<Record<Figure, number>> {
    const { server, url } = contestants.get(name)!;
    const alone = await load.ask('run', { url, connections: 1, durationMs: durationMs / 3 });
    const before = await server.ask('usage', { collect: false });
    const { requests, p50Ms, p99Ms } = await load.ask('run', { url, connections, durationMs });
    const after = await server.ask('usage', { collect: false });
    const cpuMicros = (after.cpuMicros - before.cpuMicros) / requests;
    return {
      perCpuSecond: 1e6 / cpuMicros,
      cpuMicros,
      aloneMs: alone.p50Ms,
      p50Ms,
      p99Ms,
      rate: requests / (durationMs / 1_000),
      residentMb: after.residentBytes / 1e6,
    };
  }
}
