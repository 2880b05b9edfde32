/**
 * The server processes of the http2-multiplexing benchmark: `node http2-multiplexing-server.ts <process>`. Each has one or two
 * servers, of which one at a time is asked. All of them answer `GET /items/:n` with some thirty bytes of JSON.
 */
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import { encodeItem, itemPath } from '@patterns/http2-multiplexing/protocol';
import { listen } from '@patterns/kit/listen';
import { answer } from './processes.ts';

const certificate = { cert: process.env.TLS_CERT!, key: process.env.TLS_KEY! };

const PREFIX = itemPath(0).slice(0, -1);
const numberIn = (path: string) => Number(path.slice(PREFIX.length));

// Each imports what it needs alone: a process that starts half as fast would be most of a short run.
const processes = {
  async ours() {
    const { startServer } = await import('@patterns/http2-multiplexing/server');
    const delayMs = Number(process.env.DELAY_MS);
    return [await startServer({ certificate }), await startServer({ certificate, delayMs })];
  },

  async bare() {
    const https = createServer(certificate, (request, response) => {
      const body = encodeItem(numberIn(request.url!));
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
    });
    const http2 = createSecureServer(certificate);
    http2.on('stream', (stream, headers) => {
      const body = encodeItem(numberIn(headers[':path']!));
      stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': body.length });
      stream.end(body);
    });
    return [await listen(https), await listen(http2)];
  },

  async backends() {
    const { startBackend } = await import('@patterns/http2-multiplexing/backend');
    return [await startBackend(), await startBackend()];
  },

  async demultiplexer() {
    const { startDemultiplexer } = await import('@patterns/http2-multiplexing/demultiplexer');
    return [await startDemultiplexer({ certificate, backends: process.env.BACKENDS!.split(' ') })];
  },
} satisfies Record<string, () => Promise<{ url: string }[]>>;

export type Process = keyof typeof processes;

const servers = await processes[process.argv[2] as Process]();

const handlers = { urls: () => servers.map(({ url }) => url) };
export type LaneServer = typeof handlers;
answer(handlers);
