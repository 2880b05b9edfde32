/**
 * What it costs to know who asks, when the token itself says so: one verification in one process, by algorithm, by library and by
 * how the key is given; then the same behind HTTP, beside a server that lets everybody in.
 */
import { type Child, startChild } from './processes.ts';
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, runRounds } from './rounds.ts';
import { httpFigures, measureHttp, openTokenServers, startLoad, tableOf } from './stateless-auth-measure.ts';
import type { Contestant } from './stateless-auth-server.ts';
import { CACHED, HS256_KEY, HS256_TEXT, PLAIN_ES256, signers, verifiers } from './stateless-auth-verifiers.ts';
import type { TokenWork } from './stateless-auth-verify.ts';

const SIZES = {
  full: {
    rounds: 5,
    durationMs: 500,
    cacheEntries: 10_000,
    http: { connections: 50, durationMs: 2_000, warmUpMs: 500 },
  },
  quick: { rounds: 3, durationMs: 100, cacheEntries: 2_000, http: { connections: 50, durationMs: 600, warmUpMs: 200 } },
  tiny: { rounds: 1, durationMs: 20, cacheEntries: 50, http: { connections: 5, durationMs: 50, warmUpMs: 10 } },
};

const verifying = Object.keys(verifiers);
const signing = Object.keys(signers);

const SERVERS: readonly Contestant[] = [
  'no check',
  'ours, ES256, cached',
  'ours, ES256, no cache',
  'jsonwebtoken, ES256, KeyObject',
  'jsonwebtoken, HS256, KeyObject',
];

const FIGURES = { micros: 'µs each', rate: 'per second', cpuMicros: 'CPU, µs each' } as const;

/** Reports what `ours` reached beside its peers. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full' } = options;
  const { rounds: count, durationMs, cacheEntries, http } = SIZES[size];
  await using stack = new AsyncDisposableStack();

  // All are there at the same time, and those that are not asked do nothing.
  const works = new Map<string, Child<TokenWork>>();
  const file = new URL('stateless-auth-verify.ts', import.meta.url);
  const env = { CACHE_ENTRIES: `${cacheEntries}` };
  for (const name of [...verifying, ...signing]) {
    works.set(name, stack.use(startChild<TokenWork>(file, { args: [name], env })));
  }
  const work = await runRounds(count, [...verifying, ...signing], measureWork, options);

  const load = startLoad(stack);
  const servers = await openTokenServers(stack, SERVERS);
  const served = await runRounds(count, SERVERS, (name) => measureHttp(load, servers.get(name)!, http), options);
  return {
    bench: 'stateless-auth',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('jsonwebtoken', 'jose', 'express'),
    rounds: count,
    noise: work.noise,
    tables: [
      {
        title: `Verifying a token, in one process, one after the other; the cache has ${cacheEntries.toLocaleString('en')} places`,
        ...tableOf(work, verifying, FIGURES),
        note: 'Issuer, audience and expiry are demanded by all but the last. A hit does not check the signature again: it finds the digest of the whole token, and looks whether it has expired meanwhile, is revoked, or its key has been withdrawn. What the cache risks: a mistake in it lets somebody in, where a mistake in a verifier locks somebody out; and a copy of its memory is a list of who is signed in. jose works in threads, so its CPU is more than its time.',
      },
      { title: 'Signing one', ...tableOf(work, signing, FIGURES) },
      {
        title: `GET /profile over HTTP, ${http.connections} connections kept open, one token`,
        ...tableOf(served, SERVERS, httpFigures),
        note: 'Each connection asks again as soon as it has its answer, so that the latency follows from the rate. Logs are off.',
      },
    ],
    targets: [
      {
        claim: 'verifications per second of a repeated ES256 token, ours ÷ jsonwebtoken',
        unit: '×',
        measured: work.ratio(CACHED, PLAIN_ES256, 'rate'),
        atLeast: 50,
      },
      {
        claim: 'verifications per second, HS256 with a KeyObject ÷ with a string',
        unit: '×',
        measured: work.ratio(HS256_KEY, HS256_TEXT, 'rate'),
        atLeast: 4,
      },
      {
        claim: 'server CPU per request, ours with the cache ÷ without',
        unit: '×',
        measured: served.ratio('ours, ES256, cached', 'ours, ES256, no cache', 'cpuMicros'),
        atMost: 0.75,
      },
    ],
  };

  async function measureWork(name: string) {
    const process = works.get(name)!;
    await process.ask('run', { durationMs: durationMs / 5 });
    const before = await process.ask('usage', { collect: false });
    const { count: times, tookMs } = await process.ask('run', { durationMs });
    const after = await process.ask('usage', { collect: false });
    return {
      micros: (tookMs * 1_000) / times,
      rate: times / (tookMs / 1_000),
      cpuMicros: (after.cpuMicros - before.cpuMicros) / times,
    };
  }
}
