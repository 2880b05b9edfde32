/** The servers of the http2-multiplexing benchmark, in processes of their own, and what is measured of the ways to ask them. */
import { ITEMS } from '@patterns/http2-multiplexing/protocol';
import { makeCertificate } from '@patterns/kit/certificate';
import type { LaneLoad } from './http2-multiplexing-load.ts';
import type { LaneServer, Process } from './http2-multiplexing-server.ts';
import type { WayName } from './http2-multiplexing-ways.ts';
import { type Child, startChild } from './processes.ts';

/** As many as browsers open to one host. */
export const SIX = 6;

/** What a page's items take on the slow server. */
export const DELAY_MS = 20;

/** Requests under way at once where it is about throughput. */
export const UNDER_WAY = 50;

type Contestant = 'ours' | 'bare node:https' | 'bare node:http2' | 'backend' | 'demultiplexer';

/** Who asks whom, by what the tables call it. */
export const served = {
  'HTTP/1.1, ours': { way: 'HTTP/1.1 kept, undici', server: 'ours' },
  'HTTP/1.1, bare node:https': { way: 'HTTP/1.1 kept, undici', server: 'bare node:https' },
  'HTTP/2, ours': { way: 'HTTP/2, bare node:http2', server: 'ours' },
  'HTTP/2, bare node:http2': { way: 'HTTP/2, bare node:http2', server: 'bare node:http2' },
} as const satisfies Record<string, { way: WayName; server: Contestant }>;

export const folded = {
  'a backend, HTTP/1.1 in the clear': { way: 'HTTP/1.1 kept, undici', server: 'backend' },
  'our server, HTTP/2': { way: 'HTTP/2, bare node:http2', server: 'ours' },
  'two backends behind the demultiplexer, HTTP/2': { way: 'HTTP/2, bare node:http2', server: 'demultiplexer' },
} as const satisfies Record<string, { way: WayName; server: Contestant }>;

interface Asked {
  readonly server: Child<LaneServer>;
  readonly url: string;
}

export interface RoadSize {
  durationMs: number;
  warmUpMs: number;
}

/** Starts all of them; `stack` ends them. All run at the same time, and those that are not asked do nothing. */
export async function openRoad(stack: AsyncDisposableStack, { durationMs, warmUpMs }: RoadSize) {
  const { cert, key } = await makeCertificate();
  const start = async (name: Process, env: Record<string, string> = {}) => {
    const file = new URL('http2-multiplexing-server.ts', import.meta.url);
    const tls = { TLS_CERT: cert, TLS_KEY: key };
    const server = stack.use(startChild<LaneServer>(file, { args: [name], env: { ...tls, ...env } }));
    const urls = await server.ask('urls', undefined);
    return urls.map((url) => ({ server, url }));
  };
  const [[ours, slow], [https, http2], [backend, other]] = await Promise.all([
    start('ours', { DELAY_MS: `${DELAY_MS}` }) as Promise<[Asked, Asked]>,
    start('bare') as Promise<[Asked, Asked]>,
    start('backends') as Promise<[Asked, Asked]>,
  ]);
  const [proxy] = (await start('demultiplexer', { BACKENDS: `${backend.url} ${other.url}` })) as [Asked];
  const servers: Record<Contestant, Asked> = {
    ours,
    'bare node:https': https,
    'bare node:http2': http2,
    backend,
    demultiplexer: proxy,
  };
  const load = stack.use(startChild<LaneLoad>(new URL('http2-multiplexing-load.ts', import.meta.url)));

  return { measurePages, measureRate };

  /** A page of a hundred, from the slow server and from the quick one. */
  async function measurePages(way: WayName) {
    const asked = { way, ca: cert, connections: SIX, underWay: ITEMS, warmUpMs };
    const { sockets, bytes } = await load.ask('weigh', { ...asked, url: servers.ours.url });
    await load.ask('open', { ...asked, url: slow.url });
    const slowMs = await load.ask('pages', { durationMs });
    await load.ask('open', { ...asked, url: servers.ours.url });
    const quickMs = await load.ask('pages', { durationMs: durationMs / 2 });
    await load.ask('close', undefined);
    return { slowMs, quickMs, sockets, bytes };
  }

  /** As many requests as go, and then one at a time. */
  async function measureRate({ way, server: contestant }: { way: WayName; server: Contestant }) {
    const { server, url } = servers[contestant];
    const usage = () => Promise.all([server.ask('usage', { collect: false }), load.ask('usage', { collect: false })]);
    await load.ask('open', { way, url, ca: cert, connections: UNDER_WAY, underWay: UNDER_WAY, warmUpMs });
    const [server0, load0] = await usage();
    const { requests, tookMs, p50Ms } = await load.ask('run', { underWay: UNDER_WAY, durationMs });
    const [server1, load1] = await usage();
    const alone = await load.ask('run', { underWay: 1, durationMs: durationMs / 2 });
    await load.ask('close', undefined);
    const busyMicros = server1.cpuMicros - server0.cpuMicros;
    const tookMicros = tookMs * 1_000;
    return {
      cpuMicros: busyMicros / requests,
      rate: requests / (tookMs / 1_000),
      p50Ms,
      aloneMs: alone.p50Ms,
      serverBusy: (busyMicros / tookMicros) * 100,
      loadBusy: ((load1.cpuMicros - load0.cpuMicros) / tookMicros) * 100,
    };
  }
}
