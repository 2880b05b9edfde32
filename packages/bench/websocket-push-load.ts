/**
 * The subscribers of the websocket-push benchmark, all in this process. They have to be cheap, or they would be what is
 * measured: raw sockets that share one buffer, and step from frame to frame by their lengths. What they know of
 * Socket.IO is what it takes to join, and to be kept.
 */
import { connect, type Socket } from 'node:net';
import { PROTOCOL } from '@patterns/websocket-push/protocol';
import { answerAsLoad, countBytes, type Sample, type Subscriber } from './delivery-load.ts';

const FIN_TEXT = 0x81;
const FIN_PING = 0x89;
const FIN_PONG = 0x8a;
/** In the place of a length: the length is in the next two bytes. 127, for the next eight, no contestant needs [RFC 6455 §5.2]. */
const LENGTH_16 = 126;
const END_OF_HEAD = '\r\n\r\n';
/** Where an event says which one it is and when it was due: see websocket-push-server.ts. */
const EVENT = /#(\d+) ([\d.]+) /;

const buffer = Buffer.allocUnsafe(64 * 1_024);

class WebSocketStream implements Subscriber {
  readonly socket: Socket;
  readonly open: Promise<void>;
  count = 0;
  readonly #opened = Promise.withResolvers<void>();
  readonly #sample: Sample | undefined;
  #upgraded = false;
  /** The beginning of a frame whose end has not come. */
  #rest: Buffer | undefined;

  constructor(url: URL, sample?: Sample) {
    this.#sample = sample;
    this.open = this.#opened.promise;
    const onread = { buffer, callback: (length: number) => this.#read(length) };
    this.socket = connect({ host: url.hostname, port: Number(url.port), onread });
    this.socket.on('error', this.#opened.reject);
    this.socket.on('close', () => this.#opened.reject(new Error('the server hung up')));
    this.socket.write(
      [
        `GET ${url.pathname}${url.search} HTTP/1.1`,
        `Host: ${url.host}`,
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==',
        `Sec-WebSocket-Protocol: ${PROTOCOL}`,
      ].join('\r\n') + END_OF_HEAD,
    );
  }

  #read(length: number): boolean {
    countBytes(length);
    let received = buffer.subarray(0, length);
    if (this.#rest) received = Buffer.concat([this.#rest, received]);
    const at = this.#upgraded ? this.#readFrames(received, 0) : this.#readHead(received);
    this.#rest = at < received.length ? Buffer.from(received.subarray(at)) : undefined;
    return true;
  }

  /** Returns where it stopped. */
  #readHead(received: Buffer): number {
    const end = received.indexOf(END_OF_HEAD);
    if (end === -1) return 0;
    const head = received.toString('latin1', 0, end);
    if (!head.startsWith('HTTP/1.1 101 ')) {
      this.#opened.reject(new Error(`refused: ${received.toString('latin1')}`));
      this.socket.destroy();
      return received.length;
    }
    this.#upgraded = true;
    this.#opened.resolve();
    return this.#readFrames(received, end + END_OF_HEAD.length);
  }

  #readFrames(received: Buffer, at: number): number {
    const receivedAt = performance.timeOrigin + performance.now();
    while (received.length >= at + 2) {
      const isLong = received[at + 1] === LENGTH_16;
      if (isLong && received.length < at + 4) break;
      const payloadAt = at + (isLong ? 4 : 2);
      const end = payloadAt + (isLong ? received.readUInt16BE(at + 2) : received[at + 1]!);
      if (received.length < end) break;
      // Of all that a server sends to a subscriber, only events are longer than 125 bytes.
      if (!isLong) this.#answer(received[at]!, received.toString('latin1', payloadAt, end));
      else if (received[at] !== FIN_TEXT) throw new Error(`a frame that begins with ${received[at]}`);
      else this.#receive(received.subarray(payloadAt, end), receivedAt);
      at = end;
    }
    return at;
  }

  #receive(payload: Buffer, receivedAt: number): void {
    this.count++;
    if (!this.#sample) return;
    const [, n, dueAt] = EVENT.exec(payload.toString('latin1')) ?? [];
    if (n && dueAt) this.#sample.add(Number(n), Number(dueAt), receivedAt);
  }

  #answer(first: number, payload: string): void {
    if (first === FIN_PING) this.#send(FIN_PONG, payload);
    else if (payload.startsWith('0{'))
      this.#send(FIN_TEXT, '40'); // Engine.IO is open: join Socket.IO's main namespace
    else if (payload === '2') this.#send(FIN_TEXT, '3'); // Engine.IO's own ping
  }

  /** A mask of zeros is a mask [RFC 6455 §5.3]. */
  #send(first: number, payload: string): void {
    this.socket.write(Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0, ...Buffer.from(payload, 'latin1')]));
  }
}

answerAsLoad((url, sample) => new WebSocketStream(url, sample));
