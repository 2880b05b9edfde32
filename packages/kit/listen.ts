/**
 * Listening, and the harder half: closing.
 *
 * `server.close()` alone waits for ever while one SSE response or endless HTTP/2 stream is open, and forgets upgraded sockets.
 * Here closing has three steps: announce it (`closing` aborts, so that long responses can end themselves), stop accepting
 * and let what is in flight finish, and after `graceMs` cut whatever is left.
 */
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { ConfigError } from './env.ts';

export interface Listening extends AsyncDisposable {
  /** Where it listens, without a trailing slash: `http://127.0.0.1:41234`, `unix:/run/app.sock`. */
  readonly url: string;
  /** Aborts when closing begins. */
  readonly closing: AbortSignal;
  /** Connections open now, of any kind. */
  readonly connections: number;
  /** Closes in at most `graceMs`; safe to call twice. */
  close(): Promise<void>;
}

export interface ListenOptions {
  /** 0 lets the system choose a free port. */
  port?: number | undefined;
  /** Loopback unless said otherwise: a demo is nobody else's business. */
  host?: string | undefined;
  /** A Unix socket instead, which only this user can connect to. What an earlier process has left there is replaced. */
  socketPath?: string | undefined;
  /** How long requests in flight may take to finish. 5 s: under the 10 s that `docker stop` allows before it kills. */
  graceMs?: number | undefined;
}

/**
 * Starts listening. Works for http, https and http2 servers.
 * @throws {ConfigError} when the port is taken or not permitted.
 */
export async function listen(
  server: Server | Http2Server | Http2SecureServer,
  { port = 0, host = '127.0.0.1', socketPath, graceMs = 5_000 }: ListenOptions = {},
): Promise<Listening> {
  // Raw sockets, because they stay known after an upgrade, when the HTTP server has forgotten them.
  const sockets = new Set<Socket>();
  // The response that is on its way, by the socket that carries it (over TLS that is another one than the raw). A socket stays
  // here as long as it is open, so that the Map grows and shrinks with the connections, and not with each request: in V8 that
  // would keep dead responses alive for many a garbage collection.
  const responses = new Map<Socket, ServerResponse | undefined>();
  const closing = new AbortController();

  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.httpVersionMajor !== 1) return;
    if (closing.signal.aborted) response.setHeader('Connection', 'close');
    const { socket } = request;
    if (!responses.has(socket)) socket.once('close', () => responses.delete(socket));
    responses.set(socket, response); // of several that were asked for ahead, the last: it is sent last
    response.on('close', answered);
  });
  // One function for all: a closure for each would be kept as long as its response, and some last for hours.
  function answered(this: ServerResponse): void {
    const { socket } = this.req;
    if (responses.get(socket) === this) responses.set(socket, undefined);
    // A response that began before the drain has not said `Connection: close`: nobody else closes what is idle from now on.
    if (closing.signal.aborted && 'closeIdleConnections' in server) setImmediate(() => server.closeIdleConnections());
  }
  if ('closeIdleConnections' in server) keepWhatIsSent(server, responses);

  if (socketPath) {
    rmSync(socketPath, { force: true }); // who was killed has not removed it
    server.listen(socketPath);
  } else server.listen(port, host);
  await once(server, 'listening').catch((error) => {
    throw explain(error, host, port);
  });
  if (socketPath) chmodSync(socketPath, 0o600);

  async function drain(): Promise<void> {
    // Also sends GOAWAY on HTTP/2 sessions: open streams may finish [RFC 9113 §6.8].
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    // Else the client asks again on a connection that is about to close [RFC 9112 §9.6].
    for (const response of responses.values())
      if (response?.headersSent === false) response.setHeader('Connection', 'close');
    closing.abort();
    // A connection on which nothing was ever asked, as browsers open ahead, does not count as idle: it would hold us up.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    const force = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, graceMs);
    await closed;
    // Upgraded sockets do not count for `server.close()`.
    while (sockets.size > 0) await new Promise((resolve) => sockets.values().next().value?.once('close', resolve));
    clearTimeout(force);
  }

  let draining: Promise<void> | undefined;
  const close = () => {
    draining ??= drain();
    return draining;
  };
  const scheme = server instanceof TlsServer ? 'https' : 'http';
  const address = server.address() as AddressInfo;
  const authority = `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  return {
    url: socketPath ? `unix:${socketPath}` : `${scheme}://${authority}`,
    closing: closing.signal,
    get connections() {
      return sockets.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** To Node a connection is idle as soon as its response has been ended: closing it would cut off what is not sent yet. */
function keepWhatIsSent(server: Server, responses: ReadonlyMap<Socket, ServerResponse | undefined>): void {
  const closeIdle = server.closeIdleConnections.bind(server);
  server.closeIdleConnections = () => {
    const isSending = responses.values().some((response) => response?.writableEnded);
    if (!isSending) closeIdle(); // if it is, whoever was the last to be sent comes here again
  };
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const cause = { cause: error };
  if (error.code === 'EADDRINUSE')
    return new ConfigError(`port ${port} of ${host} is in use: choose another, or PORT=0 for a free one`, cause);
  if (error.code === 'EACCES') return new ConfigError(`port ${port} needs more rights: choose one above 1023`, cause);
  return error;
}
