/**
 * The subscribers of the sse benchmark, all in this process. They have to be cheap, or they would be what is measured: raw
 * sockets that share one buffer. Most only count events, by a byte that each event has once; the sampled ones are parsed in
 * full.
 */
import { connect, type Socket } from 'node:net';
import { answerAsLoad, countBytes, type Sample, type Subscriber } from './delivery-load.ts';

const END_OF_DATA = '}'.charCodeAt(0);

const buffer = Buffer.allocUnsafe(64 * 1_024);

class EventStream implements Subscriber {
  readonly socket: Socket;
  readonly open: Promise<void>;
  count = 0;
  readonly #opened = Promise.withResolvers<void>();
  readonly #sample: Sample | undefined;
  #rest = '';

  constructor(url: URL, sample?: Sample) {
    this.#sample = sample;
    this.open = this.#opened.promise;
    const onread = { buffer, callback: (length: number) => this.#read(length) };
    this.socket = connect({ host: url.hostname, port: Number(url.port), onread });
    this.socket.on('error', this.#opened.reject);
    this.socket.write(`GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: text/event-stream\r\n\r\n`);
  }

  #read(length: number): boolean {
    this.#opened.resolve();
    countBytes(length);
    const received = buffer.subarray(0, length);
    for (let at = received.indexOf(END_OF_DATA); at !== -1; at = received.indexOf(END_OF_DATA, at + 1)) this.count++;
    if (this.#sample) this.#parse(received.toString('latin1'), this.#sample);
    return true;
  }

  /** No event is split over two chunks of HTTP, so that the chunks' own lines can be skipped. */
  #parse(text: string, sample: Sample): void {
    const receivedAt = performance.timeOrigin + performance.now();
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;
      const { n, price } = JSON.parse(line.slice('data:'.length)) as { n: number; price: number };
      sample.add(n, price, receivedAt);
    }
  }
}

answerAsLoad((url, sample) => new EventStream(url, sample));
