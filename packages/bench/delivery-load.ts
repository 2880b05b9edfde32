/**
 * What the subscribers of a benchmark of deliveries have in common, whatever the wire: they are opened in batches, they
 * count events, and some of them look into the events for the order and the latency.
 */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

const SAMPLE_EVERY = 50;
/** Under the 511 connections that wait for a server's `accept`. */
const OPENED_AT_ONCE = 200;

export interface Subscriber {
  readonly socket: Socket;
  readonly open: Promise<void>;
  /** Events since the reset. */
  count: number;
}

let subscribers: Subscriber[] = [];
let latenciesMs: number[] = [];
let inOrder = true;
let bytes = 0;

/** To be called by a subscriber for everything that it reads. */
export function countBytes(length: number): void {
  bytes += length;
}

/** Events that one subscriber has looked into. Times are milliseconds since the epoch. */
export class Sample {
  #n = 0;

  add(n: number, dueAt: number, receivedAt: number): void {
    latenciesMs.push(receivedAt - dueAt);
    if (this.#n !== 0 && n !== this.#n + 1) inOrder = false;
    this.#n = n;
  }
}

const handlersFor = (subscribe: (url: URL, sample?: Sample) => Subscriber) => ({
  /** Resolves when the server has answered all of them. */
  async open(addresses: string[]): Promise<void> {
    for (let at = 0; at < addresses.length; at += OPENED_AT_ONCE) {
      const batch = addresses.slice(at, at + OPENED_AT_ONCE).map((address, i) => {
        return subscribe(new URL(address), (at + i) % SAMPLE_EVERY === 0 ? new Sample() : undefined);
      });
      await Promise.all(batch.map(({ open }) => open));
      subscribers.push(...batch);
    }
  },

  close(): void {
    for (const { socket } of subscribers) socket.destroy();
    subscribers = [];
  },

  reset(): void {
    for (const subscriber of subscribers) subscriber.count = 0;
    latenciesMs = [];
    inOrder = true;
    bytes = 0;
  },

  /** Waits until every subscriber has counted `events` since the reset. When nothing more comes for 3 s, the rest is lost. */
  async received({ events }: { events: number }) {
    for (let before = -1, quietSince = 0; subscribers.some(({ count }) => count < events); await delay(5)) {
      if (bytes !== before) quietSince = performance.now();
      else if (performance.now() - quietSince > 3_000) break;
      before = bytes;
    }
    if (!inOrder || subscribers.some(({ count }) => count > events)) throw new Error('out of order, or twice');
    const deliveries = subscribers.reduce((sum, { count }) => sum + count, 0);
    return {
      deliveries,
      lost: events * subscribers.length - deliveries,
      bytes,
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
    };
  },
});
export type DeliveryLoad = ReturnType<typeof handlersFor>;

/** Makes this process the subscribers. `subscribe` opens one; with a sample, it has to look into each event. */
export function answerAsLoad(subscribe: (url: URL, sample?: Sample) => Subscriber): void {
  answer(handlersFor(subscribe));
}
