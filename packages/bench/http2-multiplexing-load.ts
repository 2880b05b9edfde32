/**
 * The load generator of the http2-multiplexing benchmark: pages of a hundred, asked for all at once; or a steady number of
 * requests under way; by one of the ways of http2-multiplexing-ways.ts.
 */
import { ITEMS, itemPath } from '@patterns/http2-multiplexing/protocol';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type Server, type Way, type WayName, ways } from './http2-multiplexing-ways.ts';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

let way: Way | undefined;

/** Opens the connections of a way, and asks for a while: what is measured comes after that. */
async function open({ way: name, underWay, warmUpMs, ...server }: Load): Promise<void> {
  await close();
  way = ways[name](server);
  await ask(way, underWay, warmUpMs);
}

export interface Load extends Server {
  way: WayName;
  underWay: number;
  warmUpMs: number;
}

async function close(): Promise<void> {
  await way?.[Symbol.asyncDispose]();
  way = undefined;
}

/** Loads the page again and again. @returns how long one takes, in milliseconds, in the median. */
async function pages({ durationMs }: { durationMs: number }): Promise<number> {
  const taken: number[] = [];
  const endsAt = performance.now() + durationMs;
  do {
    const startedAt = performance.now();
    await loadPage(way!);
    taken.push(performance.now() - startedAt);
  } while (performance.now() < endsAt);
  return percentile(taken, 0.5);
}

/** What a page takes on the wire: its connections, and its bytes once they are open. Counted at a proxy, apart from what is timed. */
async function weigh({ way: name, ...server }: Server & { way: WayName }): Promise<{ sockets: number; bytes: number }> {
  const seen = new Set<number>();
  const onData = (_chunk: Buffer, { connection }: { connection: number }) => seen.add(connection);
  await using line = await startFaultProxy(server.url, { onData });
  await using weighed = ways[name]({ ...server, url: line.url });
  await loadPage(weighed);
  const sockets = seen.size;
  const before = line.bytes.up + line.bytes.down;
  await loadPage(weighed);
  return { sockets, bytes: (line.bytes.up + line.bytes.down - before) / ITEMS };
}

/** Keeps so many requests under way. */
async function run({ underWay, durationMs }: { underWay: number; durationMs: number }) {
  const startedAt = performance.now();
  const latenciesMs = await ask(way!, underWay, durationMs);
  return {
    requests: latenciesMs.length,
    tookMs: performance.now() - startedAt,
    p50Ms: percentile(latenciesMs, 0.5),
  };
}

async function loadPage(by: Way): Promise<void> {
  await Promise.all(Array.from({ length: ITEMS }, (_, index) => by.get(itemPath(index + 1))));
}

async function ask(by: Way, underWay: number, durationMs: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  const endsAt = performance.now() + durationMs;
  const askOn = async (worker: number) => {
    for (let n = worker; performance.now() < endsAt; n++) {
      const askedAt = performance.now();
      await by.get(itemPath((n % ITEMS) + 1));
      latenciesMs.push(performance.now() - askedAt);
    }
  };
  await Promise.all(Array.from({ length: underWay }, (_, worker) => askOn(worker)));
  return latenciesMs;
}

const handlers = { open, pages, weigh, run, close };
export type LaneLoad = typeof handlers;
answer(handlers);
