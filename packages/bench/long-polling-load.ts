/**
 * The clients of the long-polling benchmark, all in this process: each asks again as soon as it has its answer, and says where
 * it has got to, if the server told it. A client that is not measured counts as well: each answer has to reach all of them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, HttpConnection } from './http-connection.ts';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

/** Under the 511 connections that wait for a server's `accept`. */
const OPENED_AT_ONCE = 200;

let connections: HttpConnection[] = [];
let answers = 0;
let bytes = 0;
let latenciesMs: number[] = [];
/** By the moment when an event was due: how often it has arrived, and when for the last time. */
let events = new Map<string, { arrived: number; lastMs: number }>();
let failure: unknown;

/** `path` gets what the client has seen. A client's number is what tells it from others at the same address. */
async function park(connection: HttpConnection, path: string, client: number): Promise<void> {
  let after = '';
  for (;;) {
    const received = await connection.ask(`${path}client=${client}${after && `&after=${after}`}`);
    after = take(received) ?? after;
  }
}

/** Counts what an answer brought; its cursor, if it has one. */
function take({ status, head, body, bytes: length }: Answer): string | undefined {
  const now = performance.timeOrigin + performance.now();
  if (status === 204) return;
  if (status !== 200) throw new Error(`not an answer: ${head}${body}`);
  answers += 1;
  bytes += length;
  for (const [, due] of body.matchAll(/due=([\d.]+)/g)) {
    const event = events.get(due!) ?? { arrived: 0, lastMs: 0 };
    events.set(due!, { arrived: event.arrived + 1, lastMs: now - Number(due) });
    latenciesMs.push(now - Number(due));
  }
  return /^cursor: (\S+)/im.exec(head)?.[1];
}

const handlers = {
  /** Connects `count` clients; over `spreadMs`, so that their phases differ. */
  async open({ url, count, spreadMs = 0 }: { url: string; count: number; spreadMs?: number }): Promise<void> {
    const target = new URL(url);
    const path = `${target.pathname}${target.search ? `${target.search}&` : '?'}`;
    for (let i = 0; i < count; i++) {
      if (spreadMs > 0) await delay((spreadMs / count) * 2 * Math.random());
      else if (i % OPENED_AT_ONCE === OPENED_AT_ONCE - 1) await delay(10);
      const connection = new HttpConnection(target);
      connections.push(connection);
      park(connection, path, i).catch((error) => {
        if (connections.includes(connection)) failure ??= error;
      });
    }
  },

  close(): void {
    const open = connections;
    connections = [];
    for (const connection of open) connection.destroy();
  },

  reset(): void {
    [answers, bytes] = [0, 0];
    latenciesMs = [];
    events = new Map();
  },

  /** Waits until every client has had `count` events since the reset. When none comes for 3 s, the rest is lost. */
  async received({ count }: { count: number }) {
    const all = count * connections.length;
    for (let before = -1, quietSince = 0; latenciesMs.length < all; await delay(5)) {
      if (failure) throw failure;
      if (latenciesMs.length !== before) quietSince = performance.now();
      else if (performance.now() - quietSince > 3_000) break;
      before = latenciesMs.length;
    }
    if (latenciesMs.length > all) throw new Error('an event came twice');
    return {
      arrived: latenciesMs.length,
      lost: all - latenciesMs.length,
      bytes: bytes / answers,
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
      /** Until the last client had an event: half of the events took longer. */
      lastMs: percentile(
        [...events.values()].map(({ lastMs }) => lastMs),
        0.5,
      ),
    };
  },
};
export type LongPollingLoad = typeof handlers;
answer(handlers);
