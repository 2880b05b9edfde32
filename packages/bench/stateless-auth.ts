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

const SERVERS: readonly Contestant[] = [
  'no check',
  'ours, ES256, cached',
  'ours, ES256, no cache',
  'jsonwebtoken, ES256, KeyObject',
  'jsonwebtoken, HS256, KeyObject',
];

const FIGURES = { micros: 'µs each', rate: 'per second', cpuMicros: 'CPU, µs each' } as const;

const NOTE = [
  'Issuer, audience and expiry are demanded by all but the textbook and the last.',
  'A hit checks no signature: it finds the digest of the one that was checked, compares what was signed, and looks whether the token has expired meanwhile, is revoked, or its key has been withdrawn.',
  'What the cache risks: whatever is in it counts as genuine, so a mistake in it lets somebody in, where most mistakes in a verifier lock somebody out.',
  'A string costs jsonwebtoken more than the HMAC: each time it tries whether it is a public key, and throws that away.',
  'jose awaits WebCrypto, which works in another thread: one at a time, it mostly waits.',
].join(' ');

/** Reports what `ours` reached beside its peers. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full' } = options;
  const { rounds: count, durationMs, cacheEntries, http } = SIZES[size];
  await using stack = new AsyncDisposableStack();

  // In the smallest size only what there are targets for: each run is preceded by a look at what else the machine does.
  const isTiny = size === 'tiny';
  const verifying = isTiny ? [CACHED, PLAIN_ES256, HS256_KEY, HS256_TEXT] : Object.keys(verifiers);
  const signing = isTiny ? ['sign with jsonwebtoken, ES256'] : Object.keys(signers);
  const names = isTiny ? SERVERS.slice(0, 3) : SERVERS;

  // All processes are there at the same time, and those that are not asked do nothing.
  const processes = new Map<string, Child<TokenWork>>();
  for (const library of new Set([...verifying, ...signing].map(libraryOf))) {
    processes.set(library, stack.use(startChild<TokenWork>(new URL('stateless-auth-verify.ts', import.meta.url))));
  }
  const work = await runRounds(count, [...verifying, ...signing], measureWork, options);

  const load = startLoad(stack);
  const servers = await openTokenServers(stack, names);
  const served = await runRounds(count, names, measureServer, options);
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
        note: NOTE,
      },
      { title: 'Signing one', ...tableOf(work, signing, FIGURES) },
      {
        title: `GET /profile over HTTP, ${http.connections} connections kept open, one token`,
        ...tableOf(served, names, httpFigures),
        note: 'Each connection asks again as soon as it has its answer, so that the latency follows from the rate. Logs are off.',
      },
    ],
    targets: [
      {
        claim: 'CPU to verify a repeated ES256 token, jsonwebtoken ÷ ours',
        unit: '×',
        measured: work.ratio(PLAIN_ES256, CACHED, 'cpuMicros'),
        atLeast: 50,
      },
      {
        claim: 'CPU to verify the textbook token (HS256), secret as a string ÷ as a KeyObject',
        unit: '×',
        measured: work.ratio(HS256_TEXT, HS256_KEY, 'cpuMicros'),
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

  async function measureServer(name: Contestant) {
    const { beside: _, ...figures } = await measureHttp(load, servers.get(name)!, http);
    return figures;
  }

  async function measureWork(name: string) {
    const process = processes.get(libraryOf(name))!;
    await process.ask('run', { name, cacheEntries, durationMs: durationMs / 5 });
    return await process.ask('run', { name, cacheEntries, durationMs });
  }
}

/** `ours, ES256, no cache` is by `ours`. */
const libraryOf = (name: string) => name.replace(/^sign with /, '').split(',', 1)[0]!;
