/**
 * The clients of the polling benchmark, all in this process: each asks, waits, and asks again, at a moment of its own. An event
 * carries the moment when it was due, so that a client can tell how old its news is.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { adapt, type Rhythm, waitMs } from '@patterns/polling/interval';
import { type Answer, HttpConnection } from './http-connection.ts';
import { answer } from './processes.ts';

/** From an answer to the next question: `minMs`, always; or as our client does, by what it finds, and with its jitter. */
export interface Waits {
  by: 'clock' | 'our client';
  minMs: number;
  maxMs: number;
}

interface Polls extends Waits {
  url: string;
  clients: number;
}

let connections: HttpConnection[] = [];
let stalenessMs: number[] = [];
/** From a question to the next one of the same client. */
let gapsMs: number[] = [];
let polls = 0;
let empty = 0;
let bytes = 0;
/** Clients that have had their first answer. */
let opened = 0;
let failure: unknown;

/** Asks until its connection is closed. Its last answer names the ETag and the cursor that the next question gives back. */
async function poll(connection: HttpConnection, { url, by, ...bounds }: Polls): Promise<void> {
  const { pathname, searchParams } = new URL(url);
  let after = searchParams.get('after')!;
  let etag = '';
  let rhythm: Rhythm = { intervalMs: bounds.minMs, failures: 0 };
  // The first one at random: clients that begin together would ask together for ever.
  await delay(bounds.minMs * Math.random());
  for (let askedAt: number | undefined; ; ) {
    const now = performance.now();
    const received = await connection.ask(`${pathname}?after=${after}`, etag && `If-None-Match: ${etag}\r\n`);
    if (askedAt === undefined) opened += 1;
    else gapsMs.push(now - askedAt);
    askedAt = now;
    const hasNews = count(received);
    if (received.status === 200) {
      after = /"cursor":"([^"]+)"/.exec(received.body)![1]!;
      etag = /^etag: (\S+)/im.exec(received.head)![1]!;
    }
    rhythm = adapt(rhythm, hasNews ? 'news' : 'nothing', bounds);
    await delay(by === 'clock' ? bounds.minMs : waitMs(rhythm, bounds, 0));
  }
}

/** Whether there was news in it. */
function count({ head, status, body, bytes: length }: Answer): boolean {
  if (status !== 200 && status !== 304) throw new Error(`not an answer: ${head}${body}`);
  const now = performance.timeOrigin + performance.now();
  const before = stalenessMs.length;
  for (const [, due] of body.matchAll(/due=([\d.]+)/g)) stalenessMs.push(now - Number(due));
  const hasNews = stalenessMs.length > before;
  polls += 1;
  bytes += length;
  if (!hasNews) empty += 1;
  return hasNews;
}

const handlers = {
  /** Resolves when every client has had its first answer. */
  async open(options: Polls): Promise<void> {
    opened = 0;
    connections = Array.from({ length: options.clients }, () => {
      const connection = new HttpConnection(new URL(options.url));
      poll(connection, options).catch((error) => {
        if (connections.includes(connection)) failure ??= error;
      });
      return connection;
    });
    while (opened < options.clients) await settled();
  },

  close(): void {
    const open = connections;
    connections = [];
    for (const connection of open) connection.destroy();
  },

  reset(): void {
    stalenessMs = [];
    gapsMs = [];
    [polls, empty, bytes] = [0, 0, 0];
  },

  /** Waits until every client has seen `events` since the reset. */
  async seen({ events }: { events: number }) {
    while (stalenessMs.length < events * connections.length) await settled();
    if (stalenessMs.length > events * connections.length) throw new Error('an event came twice');
    const sum = (figures: readonly number[]) => figures.reduce((total, figure) => total + figure, 0);
    const meanMs = sum(stalenessMs) / stalenessMs.length;
    // Of all moments, more fall into a long gap than into a short one [renewal theory: E[T²] / 2 E[T]].
    const residualMs = sum(gapsMs.map((gapMs) => gapMs ** 2)) / (2 * sum(gapsMs));
    return {
      polls,
      meanMs,
      residualMs,
      worstMs: stalenessMs.reduce((worst, each) => Math.max(worst, each), 0),
      emptyShare: empty / polls,
      bytesPerEvent: bytes / stalenessMs.length,
    };
  },
};
export type PollingLoad = typeof handlers;
answer(handlers);

async function settled(): Promise<void> {
  await delay(5);
  if (failure) throw failure;
}
