/**
 * An old application: a small server that speaks HTTP/1.1, in the clear, and has never heard of HTTP/2. Two of them stand behind
 * `demultiplexer.ts`. It ends on SIGTERM, when what it is answering has been answered.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import { drained } from './drained.ts';

export interface BackendOptions {
  port?: number;
  /** Before an item is answered. */
  delayMs?: number;
  /** Between two events. */
  tickMs?: number;
  graceMs?: number;
}

/** What it has seen so far. */
export interface BackendStats {
  requests: number;
  /** Requests whose client left before the answer was sent. */
  aborted: number;
  /** POSTs to /effects that took effect. */
  effects: number;
  /** Connections open now, and at most at once. */
  connections: number;
  mostConnections: number;
}

export interface Backend extends Listening {
  readonly stats: Readonly<BackendStats>;
}

/** Starts it. `GET /items/:n`, `/events`, `/download?bytes=`, `/stats`, `/live`; `POST /upload`, `/effects`. */
export async function startBackend(options: BackendOptions = {}): Promise<Backend> {
  const { port, delayMs = 0, tickMs = 1_000, graceMs } = options;
  const stats: BackendStats = { requests: 0, aborted: 0, effects: 0, connections: 0, mostConnections: 0 };
  const json = (response: ServerResponse, value: unknown) =>
    response.setHeader('Content-Type', 'application/json').end(`${JSON.stringify(value)}\n`);

  const routes: Record<string, (request: IncomingMessage, response: ServerResponse, url: URL) => unknown> = {
    'GET /live': (_request, response) => response.end('ok\n'),
    'GET /stats': (_request, response) => json(response, stats),
    'GET /items': async (_request, response, { pathname }) => {
      if (delayMs > 0) await delay(delayMs);
      json(response, { id: Number(pathname.split('/')[2]), name: `item ${pathname.split('/')[2]}` });
    },
    'GET /events': (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
      let n = 0;
      const tick = () => response.write(`id: ${++n}\ndata: tick ${n}\n\n`);
      tick();
      const timer = setInterval(tick, tickMs);
      response.once('close', () => clearInterval(timer));
    },
    'GET /download': async (_request, response, { searchParams }) => {
      const bytes = Number(searchParams.get('bytes') ?? 4_000_000);
      const chunk = Buffer.alloc(65_536, 'x');
      response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': bytes });
      for (let left = bytes; left > 0 && !response.destroyed; left -= chunk.length) {
        const written = response.write(left < chunk.length ? chunk.subarray(0, left) : chunk);
        if (!written) await drained(response);
      }
      response.end();
    },
    'POST /upload': async (request, response) => {
      let bytes = 0;
      for await (const chunk of request) bytes += chunk.length;
      json(response, { bytes, host: request.headers.host, from: request.headers['x-forwarded-for'] });
    },
    'POST /effects': async (request, response) => {
      for await (const _ of request);
      stats.effects++;
      json(response, { effects: stats.effects });
    },
  };

  const server = createServer((request, response) => {
    stats.requests++;
    response.once('close', () => {
      if (!response.writableFinished) stats.aborted++;
    });
    const url = new URL(request.url!, 'http://backend');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const route = routes[`${method} /${url.pathname.split('/')[1]}`];
    if (!route) return response.writeHead(404).end();
    // A client that leaves in the middle of its upload.
    Promise.resolve(route(request, response, url)).catch(() => response.destroy());
  });
  server.on('connection', (socket) => {
    stats.mostConnections = Math.max(stats.mostConnections, ++stats.connections);
    socket.once('close', () => stats.connections--);
  });
  const listening = await listen(server, { port, graceMs });
  return Object.defineProperty(listening, 'stats', { value: stats }) as Backend;
}

if (import.meta.main) {
  await main(async (stack) => {
    const backend = stack.use(await startBackend({ port: envPort(), delayMs: envInteger('DELAY_MS', 0) }));
    console.log(`listening on ${backend.url}`);
    console.log(`in another terminal: node demultiplexer.ts ${backend.url}`);
  });
}
