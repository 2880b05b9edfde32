/**
 * One connection of a load generator that asks, waits, and asks again. It is cheap, or it would be what is measured: a raw
 * socket, one buffer for all of them, and answers that end by their Content-Length, or have no body.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  status: number;
  head: string;
  body: string;
  /** On the wire, head included. */
  bytes: number;
}

const buffer = Buffer.allocUnsafe(64 * 1_024);
const END_OF_HEAD = '\r\n\r\n';

export class HttpConnection {
  readonly #socket: Socket;
  readonly #host: string;
  #received = '';
  #asked: PromiseWithResolvers<Answer> | undefined;

  constructor({ hostname, port, host }: URL) {
    this.#host = host;
    const callback = (length: number) => this.#read(buffer.toString('latin1', 0, length));
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true, onread: { buffer, callback } });
    const end = (error?: Error) => this.#asked?.reject(error ?? new Error('the server closed a connection'));
    this.#socket.on('error', end).on('close', () => end());
  }

  /** Asks for a path. One question at a time. `lines` are more header lines, each with its end. */
  ask(path: string, lines = ''): Promise<Answer> {
    this.#asked = Promise.withResolvers();
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${lines}\r\n`);
    return this.#asked.promise;
  }

  /** A question that waits for its answer is rejected. */
  destroy(): void {
    this.#socket.destroy();
  }

  #read(text: string): boolean {
    this.#received += text;
    const endOfHead = this.#received.indexOf(END_OF_HEAD);
    if (endOfHead === -1) return true;
    const head = this.#received.slice(0, endOfHead + END_OF_HEAD.length);
    const bytes = head.length + lengthOf(head);
    if (this.#received.length < bytes) return true;
    const body = this.#received.slice(head.length, bytes);
    this.#received = this.#received.slice(bytes);
    this.#asked?.resolve({ status: Number(head.slice(9, 12)), head, body, bytes });
    return true;
  }
}

/** How long the body is. None has to be said to follow a 204 or a 304 [RFC 9112 §6.3]. */
function lengthOf(head: string): number {
  if (/^HTTP\/1\.1 (204|304)/.test(head)) return 0;
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer that does not say how long it is: ${head}`);
  return Number(length);
}
