/**
 * The subscribers of the sse benchmark, all in this process. They have to be cheap, or they would be what is measured: raw
 * sockets that share one buffer. Most only count events, by a byte that each event has once; every 50th is parsed in full,
 * for the order and the latency.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

const SAMPLE_EVERY = 50;
/** Under the 511 connections that wait for a server's `accept`. */
const OPENED_AT_ONCE = 200;
const END_OF_DATA = '}'.charCodeAt(0);

const buffer = Buffer.allocUnsafe(64 * 1_024);
let subscribers: Subscriber[] = [];
let latenciesMs: number[] = [];
let inOrder = true;
let bytes = 0;

class Subscriber {
  readonly socket: Socket;
  readonly open = Promise.withResolvers<void>();
  count = 0;
  #sampled: boolean;
  #rest = '';
  #n = 0;

  constructor(url: URL, sampled: boolean) {
    this.#sampled = sampled;
    const onread = { buffer, callback: (length: number) => this.#read(length) };
    this.socket = connect({ host: url.hostname, port: Number(url.port), onread });
    this.socket.on('error', this.open.reject);
    this.socket.write(`GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: text/event-stream\r\n\r\n`);
  }

  #read(length: number): boolean {
    this.open.resolve();
    bytes += length;
    const received = buffer.subarray(0, length);
    for (let at = received.indexOf(END_OF_DATA); at !== -1; at = received.indexOf(END_OF_DATA, at + 1)) this.count++;
    if (this.#sampled) this.#parse(received.toString('latin1'));
    return true;
  }

  /** No event is split over two chunks of HTTP, so that the chunks' own lines can be skipped. */
  #parse(text: string): void {
    const now = performance.timeOrigin + performance.now();
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;
      const { n, price } = JSON.parse(line.slice('data:'.length)) as { n: number; price: number };
      latenciesMs.push(now - price);
      if (this.#n !== 0 && n !== this.#n + 1) inOrder = false;
      this.#n = n;
    }
  }
}

const handlers = {
  /** Resolves when the server has answered all of them. */
  async open({ url, count }: { url: string; count: number }): Promise<void> {
    while (count > 0) {
      const batch = Array.from({ length: Math.min(count, OPENED_AT_ONCE) }, (_, i) => {
        return new Subscriber(new URL(url), (subscribers.length + i) % SAMPLE_EVERY === 0);
      });
      await Promise.all(batch.map(({ open }) => open.promise));
      subscribers.push(...batch);
      count -= batch.length;
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
};
export type SseLoad = typeof handlers;
answer(handlers);
