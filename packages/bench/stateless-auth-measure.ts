/** The servers of the benchmarks of who asks, each a process of its own, and what is measured of one of them. */
import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import type { HttpLoad } from './http-load.ts';
import { type Child, startChild, type Usage } from './processes.ts';
import type { Table } from './results.ts';
import type { Rounds } from './rounds.ts';
import type { Contestant, ProfileServer } from './stateless-auth-server.ts';
import { KEY_ID, makeKeys, signToken } from './stateless-auth-tokens.ts';

export interface LoadSize {
  connections: number;
  durationMs: number;
  warmUpMs: number;
}

/** A server that is asked, as whoever the headers say. */
export interface Asked {
  usage: () => Promise<Usage>;
  url: string;
  headers: Record<string, string>;
}

export const httpFigures = {
  cpuMicros: 'server CPU per request, µs',
  rate: 'requests per second',
  p50Ms: 'p50, ms',
  p99Ms: 'p99, ms',
  serverBusy: 'server busy, %',
  loadBusy: 'load generator busy, %',
} as const;

/** Asks over and over, on connections that are kept open. `beside` counts something else, before and after. */
export async function measureHttp<Beside extends string = never>(
  load: Child<HttpLoad>,
  { url, headers, ...server }: Asked,
  size: LoadSize,
  beside: () => Promise<Record<Beside, number>> = async () => ({}) as Record<Beside, number>,
) {
  const { connections, durationMs, warmUpMs } = size;
  await load.ask('run', { url, headers, connections, durationMs: warmUpMs });
  const usage = () => Promise.all([server.usage(), load.ask('usage', { collect: false }), beside()]);
  const [server0, load0, beside0] = await usage();
  const startedAt = performance.now();
  const { requests, p50Ms, p99Ms } = await load.ask('run', { url, headers, connections, durationMs });
  const micros = (performance.now() - startedAt) * 1_000;
  const [server1, load1, beside1] = await usage();
  const busy = server1.cpuMicros - server0.cpuMicros;
  return {
    p50Ms,
    p99Ms,
    cpuMicros: busy / requests,
    rate: requests / (micros / 1e6),
    serverBusy: (busy / micros) * 100,
    loadBusy: ((load1.cpuMicros - load0.cpuMicros) / micros) * 100,
    /** Of what was counted beside, so much for each request. */
    beside: (name: Beside) => (beside1[name] - beside0[name]) / requests,
  };
}

/** Starts the servers that know by a token; `stack` ends them. */
export async function openTokenServers(stack: AsyncDisposableStack, names: readonly Contestant[]) {
  const [es256, hs256] = [makeKeys('ES256'), makeKeys('HS256')];
  const jwk = { ...es256.verifying.export({ format: 'jwk' }), kid: KEY_ID, alg: 'ES256', use: 'sig' };
  const jwks = createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }));
  });
  const { url: issuerUrl } = stack.use(await listen(jwks));
  const servers = new Map<string, Asked>();
  for (const name of names) {
    const isHmac = name.includes('HS256');
    const keys = isHmac ? hs256 : es256;
    const env = { ISSUER_URL: issuerUrl, TOKEN_KEY: JSON.stringify(keys.verifying.export({ format: 'jwk' })) };
    const file = new URL('stateless-auth-server.ts', import.meta.url);
    const server = stack.use(startChild<ProfileServer>(file, { args: [name], env }));
    const headers = { Authorization: `Bearer ${signToken(isHmac ? 'HS256' : 'ES256', keys.signing)}` };
    const url = await server.ask('url', undefined);
    servers.set(name, { url, headers, usage: () => server.ask('usage', { collect: false }) });
  }
  return servers;
}

export function startLoad(stack: AsyncDisposableStack): Child<HttpLoad> {
  return stack.use(startChild<HttpLoad>(new URL('http-load.ts', import.meta.url)));
}

/** What the rounds measured, as a table: a row for each name, a column for each figure. */
export function tableOf<Name extends string, Figure extends string>(
  rounds: Rounds<Name, Figure>,
  names: readonly Name[],
  figures: Readonly<Partial<Record<Figure, string>>>,
): Pick<Table, 'columns' | 'rows'> {
  const shown = Object.keys(figures) as Figure[];
  return {
    columns: shown.map((figure) => figures[figure]!),
    rows: names.map((name) => ({ name, cells: shown.map((figure) => rounds.of(name, figure)) })),
  };
}
