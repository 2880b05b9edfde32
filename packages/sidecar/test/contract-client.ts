/**
 * The two clients of the contract: one that speaks proper HTTP, and one that writes on a socket whatever it is told to.
 */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import { until } from '@patterns/kit/testing/until';

export interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  rawHeaders: string[];
  body: string;
}

export interface Ask {
  method?: string;
  headers?: OutgoingHttpHeaders;
  /** Sent with its length; as pieces, in chunks. */
  body?: string | Buffer | readonly string[];
  signal?: AbortSignal;
}

/** Asks on a connection of its own, and reads the answer to its end. Rejects when that does not come. */
export async function ask(
  url: string,
  path = '/',
  { method = 'GET', headers = {}, body, signal }: Ask = {},
): Promise<Answer> {
  const request = httpRequest(url + path, { method, headers, agent: false, ...(signal && { signal }), path });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  if (typeof body === 'object' && !Buffer.isBuffer(body)) for (const piece of body) request.write(piece);
  request.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : undefined);
  const [response] = await answered;
  request.on('error', () => {}); // the connection may be cut behind an answer that came early
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { statusCode = 0, rawHeaders } = response;
  return { status: statusCode, headers: response.headers, rawHeaders, body: Buffer.concat(chunks).toString() };
}

export interface RawClient extends Disposable {
  readonly socket: Socket;
  /** All that came back so far, as latin1. */
  received(): string;
  write(text: string | Buffer): void;
  /** Waits until what came back matches; then it is all of it. */
  wait(pattern: RegExp): Promise<string>;
  /** Waits for the other side to close; then all that came back. */
  closed(): Promise<string>;
}

/** A connection on which nobody corrects what is written. */
export async function rawClient(url: string): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => {});
  await once(socket, 'connect');
  const received = () => Buffer.concat(chunks).toString('latin1');
  return {
    socket,
    received,
    write: (text) => void socket.write(text, 'latin1'),
    async wait(pattern) {
      await until(`an answer that matches ${pattern}; there is: ${received().slice(0, 200)}`, () =>
        pattern.test(received()),
      );
      return received();
    },
    async closed() {
      await until('the end of the connection', () => socket.closed);
      return received();
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** The status codes of all answers that came, in their order. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}
