/**
 * The app behind the sidecars of the contract: each clause brings its own handler, and reads off the app's side of the wire what
 * came through: every byte, every request, every connection.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface App extends AsyncDisposable {
  /** As a sidecar takes it: `unix:/path`. */
  readonly upstream: string;
  readonly socketPath: string;
  /** Method and target of each request, as they came. */
  readonly requests: string[];
  /** Every byte that came in, over all connections, as latin1. */
  received(): string;
  /** The head of the last request, line by line, and its fields by lower-case name. */
  head(): { lines: string[]; fields: Map<string, string> };
  /** Connections open now, and opened in all. */
  readonly open: Set<Socket>;
  readonly opened: () => number;
}

/** An app that speaks HTTP, on a Unix socket of its own. */
export async function startApp(handler: RequestListener = answerOk, socketPath?: string): Promise<App> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    handler(request, response);
  });
  return serve(server, requests, socketPath);
}

/** An app that speaks what it likes: `talk` is given each piece that comes in. */
export async function startRawApp(talk: (socket: Socket, text: string) => void): Promise<App> {
  const requests: string[] = [];
  const server = createNetServer((socket) => {
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      const [line] = /^[A-Z]+ \S+(?= HTTP)/.exec(text) ?? [];
      if (line) requests.push(line);
      talk(socket, text);
    });
  });
  return serve(server, requests);
}

const newSocketPath = () => join(tmpdir(), `contract-${randomBytes(6).toString('hex')}.sock`);

async function serve(server: Server, requests: string[], socketPath = newSocketPath()): Promise<App> {
  const open = new Set<Socket>();
  const chunks: Buffer[] = [];
  let opened = 0;
  server.on('connection', (socket: Socket) => {
    opened++;
    open.add(socket);
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  server.listen(socketPath);
  await once(server, 'listening');
  const received = () => Buffer.concat(chunks).toString('latin1');
  return {
    upstream: `unix:${socketPath}`,
    socketPath,
    requests,
    received,
    head() {
      const heads = received()
        .split('\r\n\r\n')
        .filter((each) => / HTTP\/1\.1\r\n/.test(each));
      const [, ...lines] = (heads.at(-1) ?? '').split('\r\n');
      return { lines, fields: new Map(lines.map((line) => split(line))) };
    },
    open,
    opened: () => opened,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
      await rm(socketPath, { force: true });
    },
  };
}

function split(line: string): [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

/** Reads the request to its end, and says what it was. */
export const answerOk: RequestListener = (request, response) => {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on('end', () => sendJson(response, { method: request.method, url: request.url, bytes }));
};

export function sendJson(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(value);
  response
    .writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers })
    .end(body);
}
