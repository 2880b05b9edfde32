/**
 * How much a client may send, and how slowly. What is too big is refused by its announced length; what announces none is
 * counted while it passes. Slow senders are cut off by the server itself: a connection is the cheapest thing to hold.
 */
import { type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { HttpProblem } from '@patterns/kit/problem';
import { exchangeOf, type Power } from './exchange.ts';

export interface Limits {
  /** Of a request's body. */
  maxBodyBytes: number;
  /** All headers together; Node's own default. */
  maxHeaderBytes: number;
  maxHeaders: number;
  /** Until all headers are there: a slow phone needs a second, an attacker wants minutes. */
  headersMs: number;
  /** Until the whole request is there. */
  requestMs: number;
}

// #region limits
/** 431, 413 and 501, before anything else is spent on a request. */
export function limitSizes({ maxBodyBytes, maxHeaders }: Limits): Power {
  return (request, response, next) => {
    const { headers, rawHeaders } = request;
    if (rawHeaders.length / 2 > maxHeaders) throw closing(431, `more than ${maxHeaders} headers`);
    if (Number(headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
    if (headers['transfer-encoding'] !== undefined) {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= maxBodyBytes) return;
        request.pause();
        exchangeOf(response).abort?.(tooLarge(maxBodyBytes));
      });
      request.pause(); // to listen is to start the flow: it begins when somebody takes it
    }
    // A WebSocket is a tunnel: no power here could see into it, count it or log it. Other upgrades may be ignored [RFC 9110 §7.8].
    if (headers.upgrade?.toLowerCase().includes('websocket') && /upgrade/i.test(headers.connection ?? ''))
      throw new HttpProblem(501, { detail: 'WebSocket upgrades do not pass this sidecar' });
    next();
  };
}
// #endregion

const tooLarge = (maxBodyBytes: number) => closing(413, `a body has at most ${maxBodyBytes} bytes`);

/** The rest of the request is not read: the connection cannot be used again. */
const closing = (status: number, detail: string) =>
  new HttpProblem(status, { detail, headers: { Connection: 'close' } });

/** The limits that the HTTP parser keeps. What it refuses never becomes a request: it is answered here. */
export function limitConnections(server: Server, limits: Limits): void {
  server.headersTimeout = limits.headersMs;
  server.requestTimeout = limits.requestMs;
  server.maxHeadersCount = limits.maxHeaders + 1; // beyond it Node drops headers without a word: one more tells us
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const status = STATUSES[error.code ?? ''] ?? 400;
    // Once an answer is on its way, another one would be read as its body, or as the answer to the next request.
    const isAnswering = (socket as Socket & { _httpMessage?: { headersSent: boolean } })._httpMessage?.headersSent;
    if (error.code === 'ECONNRESET' || !socket.writable || isAnswering) return void socket.destroy();
    const body = JSON.stringify({ title: STATUS_CODES[status], status });
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      () => socket.destroy(), // whatever it is still sending
    );
  });
}

const STATUSES: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};
