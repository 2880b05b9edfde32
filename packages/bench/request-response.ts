/**
 * One question, asked over and over on 50 connections that are kept open: what an answer costs when it was encoded once, and
 * when it is encoded, and hashed for its ETag, each time.
 */
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import type { HttpLoad } from './http-load.ts';
import { startChild } from './processes.ts';
import type { Contestant, MenuServer } from './request-response-server.ts';
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, runRounds } from './rounds.ts';

const SIZES = {
  full: { rounds: 9, connections: 50, durationMs: 3_000, warmUpMs: 1_000 },
  quick: { rounds: 3, connections: 50, durationMs: 800, warmUpMs: 300 },
  tiny: { rounds: 1, connections: 10, durationMs: 100, warmUpMs: 20 },
};

const PEERS = ['bare node:http', 'Express res.json', 'Express without etag and x-powered-by'] as const;

/** `ours` once more, for a client that has the menu already and says so. */
const NOT_MODIFIED = 'ours, If-None-Match: 304';

const FIGURES = {
  cpuMicros: 'server CPU per request, µs',
  rate: 'requests per second',
  p50Ms: 'p50, ms',
  p99Ms: 'p99, ms',
  bytes: 'bytes per answer',
  residentMb: 'resident memory, MB',
  serverBusy: 'server busy, %',
  loadBusy: 'load generator busy, %',
} as const;

/** Reports what `ours` reached beside its peers. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', say, signal } = options;
  const { rounds: count, connections, durationMs, warmUpMs } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await findPostgres({ ...(say && { progress: say }), ...(signal && { signal }) }));
  const database = stack.use(await createDatabase(postgres.url, 'bench'));

  // All run at the same time, and those that are not asked do nothing.
  const start = async (name: Contestant, env: Record<string, string>) => {
    const file = new URL('request-response-server.ts', import.meta.url);
    const server = stack.use(startChild<MenuServer>(file, { args: [name], env }));
    return { server, url: await server.ask('url', undefined), headers: {} };
  };
  const ours = await start('ours', { DATABASE_URL: database.url });
  const answer = await fetch(ours.url);
  const [menu, etag] = [await answer.text(), answer.headers.get('etag') ?? ''];
  const contestants = new Map<string, Awaited<ReturnType<typeof start>>>([
    ['ours', ours],
    [NOT_MODIFIED, { ...ours, headers: { 'If-None-Match': etag } }],
  ]);
  for (const name of PEERS) contestants.set(name, await start(name, { MENU: menu }));
  const load = stack.use(startChild<HttpLoad>(new URL('http-load.ts', import.meta.url)));

  const names = [...contestants.keys()];
  const rounds = await runRounds(count, names, measure, options);
  return {
    bench: 'request-response',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express'),
    rounds: count,
    noise: rounds.noise,
    tables: [
      {
        title: `GET /menu, ${Buffer.byteLength(menu)} bytes of JSON, ${connections} connections kept open`,
        columns: Object.values(FIGURES),
        rows: names.map((name) => ({
          name,
          cells: (Object.keys(FIGURES) as (keyof typeof FIGURES)[]).map((figure) => rounds.of(name, figure)),
        })),
        note: 'Each connection asks again as soon as it has its answer, so that the latency follows from the rate. Logs are off.',
      },
    ],
    targets: [
      {
        claim: 'requests per second, ours ÷ Express res.json',
        unit: '×',
        measured: rounds.ratio('ours', 'Express res.json', 'rate'),
        atLeast: 1.5,
      },
    ],
  };

  async function measure(name: string) {
    const { server, url, headers } = contestants.get(name)!;
    await load.ask('run', { url, headers, connections, durationMs: warmUpMs });
    const usage = () => Promise.all([server.ask('usage', { collect: false }), load.ask('usage', { collect: false })]);
    const [server0, load0] = await usage();
    const startedAt = performance.now();
    const { requests, ...received } = await load.ask('run', { url, headers, connections, durationMs });
    const micros = (performance.now() - startedAt) * 1_000;
    const [server1, load1] = await usage();
    const busy = server1.cpuMicros - server0.cpuMicros;
    return {
      ...received,
      cpuMicros: busy / requests,
      rate: requests / (micros / 1e6),
      residentMb: server1.residentBytes / 1e6,
      serverBusy: (busy / micros) * 100,
      loadBusy: ((load1.cpuMicros - load0.cpuMicros) / micros) * 100,
    };
  }
}
