/** A demultiplexer in front of given backends, and a client that sees what an HTTP/2 client can see. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type ClientHttp2Stream, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { makeCertificate } from '@patterns/kit/certificate';
import { listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';
import { type DemultiplexerOptions, startDemultiplexer } from '../demultiplexer.ts';

const log = createLog('test');
log.silent = true;
export const silentLog = log;

/** Once for a file of tests: they are not about TLS. */
export const certificate = await makeCertificate();

export type ProxyOptions = Omit<DemultiplexerOptions, 'backends' | 'certificate'>;

/** Starts the proxy, opens a session to it, and closes both. */
export async function startProxy(backends: readonly string[], options: ProxyOptions = {}) {
  const proxy = await startDemultiplexer({ backends, certificate, log, graceMs: 1_000, ...options });
  const { session, request } = openSession(proxy.url);
  return {
    proxy,
    url: proxy.url,
    session,
    request,
    /** The sum of a metric over its labels. */
    async metric(name: string): Promise<number> {
      const lines = (await proxy.registry.metrics()).split('\n').filter((line) => line.startsWith(name));
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    async [Symbol.asyncDispose]() {
      session.destroy();
      await proxy.close();
    },
  };
}

/** Instead of a body: the request goes on, until the test ends it. */
export const OPEN = Symbol('open');

export interface Seen {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  body: string;
  hints: IncomingHttpHeaders[];
  trailers: IncomingHttpHeaders;
  /** Why the stream ended: 0 is no error. */
  code: number;
}

export interface Asked {
  readonly stream: ClientHttp2Stream;
  /** When the stream is over, however that came. */
  readonly seen: Promise<Seen>;
}

export function openSession(url: string) {
  const session = connect(url, { ca: certificate.cert });
  session.on('error', () => {});
  return {
    session,
    /** Sends a request; without a body it is complete. */
    request: (headers: OutgoingHttpHeaders | string, body?: string | Buffer | typeof OPEN): Asked => {
      const fields = typeof headers === 'string' ? { ':path': headers } : headers;
      const stream = session.request(fields, { endStream: body === undefined });
      if (body !== undefined && body !== OPEN) stream.end(body);
      const seen: Seen = { status: undefined, headers: {}, body: '', hints: [], trailers: {}, code: 0 };
      stream.on('headers', (told) => seen.hints.push(told));
      stream.on('response', (told) => Object.assign(seen, { status: told[':status'], headers: told }));
      stream.on('trailers', (told) => (seen.trailers = told));
      stream.on('data', (chunk: Buffer) => (seen.body += chunk));
      stream.on('error', () => {});
      const ended = new Promise<Seen>((resolve) => {
        stream.once('close', () => resolve(Object.assign(seen, { code: stream.rstCode ?? 0 })));
      });
      return { stream, seen: ended };
    },
  };
}

/** A backend that does what the test needs. */
export function startHttp(answer: (...pair: Parameters<RequestListener>) => unknown) {
  return listen(
    createServer((request, response) => void answer(request, response)),
    { graceMs: 0 },
  );
}

/** A backend that answers with bytes: whatever HTTP does not allow. `connections` are those open now. */
export async function startTcp(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
