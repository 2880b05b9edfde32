/** The parts of the polling benchmark, each with processes of its own, from their start to their end. */
import type { HttpLoad } from './http-load.ts';
import type { PollingLoad, Waits } from './polling-load.ts';
import type { Contestant, PollingServer } from './polling-server.ts';
import { startChild } from './processes.ts';

export interface Size {
  clients: number;
  /** Events a second, on average. */
  rate: number;
  /** How long events come. */
  pollingMs: number;
  connections: number;
  warmUpMs: number;
  durationMs: number;
}

/** A poll that finds nothing. `etag`: the client says what it has. */
export interface Asked {
  server: Contestant;
  etag: boolean;
}

const startServer = (name: Contestant) =>
  startChild<PollingServer>(new URL('polling-server.ts', import.meta.url), { args: [name] });

/** Polls that find nothing, as fast as they are answered. */
export async function measureEmpty({ server: name, etag }: Asked, size: Size) {
  await using server = startServer(name);
  await using load = startChild<HttpLoad>(new URL('http-load.ts', import.meta.url));
  const url = await server.ask('url', undefined);
  const headers: Record<string, string> = {};
  if (etag) headers['If-None-Match'] = (await fetch(url)).headers.get('etag')!;
  const { connections, durationMs, warmUpMs } = size;
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
    serverBusy: (busy / micros) * 100,
    loadBusy: ((load1.cpuMicros - load0.cpuMicros) / micros) * 100,
  };
}

/** Clients that poll at their own pace, and events at random times. */
export async function measureStaleness(waits: Waits, { clients, rate, pollingMs }: Size) {
  await using server = startServer('ours');
  await using load = startChild<PollingLoad>(new URL('polling-load.ts', import.meta.url));
  await load.ask('open', { url: await server.ask('url', undefined), clients, ...waits });
  const before = await server.ask('usage', { collect: false });
  await load.ask('reset', undefined);
  const events = await server.ask('publishAtRandom', { rate, durationMs: pollingMs });
  const { polls, meanMs, residualMs, emptyShare, ...seen } = await load.ask('seen', { events });
  const after = await server.ask('usage', { collect: false });
  const expectedMs = waits.minMs === waits.maxMs ? waits.minMs / 2 : residualMs;
  return {
    ...seen,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / polls,
    meanMs,
    expectedMs,
    offPercent: Math.abs(meanMs / expectedMs - 1) * 100,
    emptyPercent: emptyShare * 100,
  };
}
