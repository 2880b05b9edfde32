/**
 * The server processes of the http2-multiplexing benchmark: `node http2-multiplexing-server.ts <contestant>`. All of them answer
 * `GET /items/:n` with some thirty bytes of JSON.
 */
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import { startBackend } from '@patterns/http2-multiplexing/backend';
import { startDemultiplexer } from '@patterns/http2-multiplexing/demultiplexer';
import { encodeItem, itemPath } from '@patterns/http2-multiplexing/protocol';
import { startServer } from '@patterns/http2-multiplexing/server';
import { listen } from '@patterns/kit/listen';
import { answer } from './processes.ts';

export type Contestant = 'ours' | 'bare node:https' | 'bare node:http2' | 'backend' | 'demultiplexer';

const certificate = { cert: process.env.TLS_CERT!, key: process.env.TLS_KEY! };
const delayMs = Number(process.env.DELAY_MS ?? 0);

const numberIn = (path: string) => Number(path.slice(PREFIX.length));
const PREFIX = itemPath(0).slice(0, -1);

const contestants: Record<Contestant, () => Promise<{ url: string }>> = {
  ours: () => startServer({ certificate, delayMs }),

  'bare node:https'() {
    const server = createServer(certificate, (request, response) => {
      const body = encodeItem(numberIn(request.url!));
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
    });
    return listen(server);
  },

  'bare node:http2'() {
    const server = createSecureServer(certificate);
    server.on('stream', (stream, headers) => {
      const body = encodeItem(numberIn(headers[':path']!));
      stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': body.length });
      stream.end(body);
    });
    return listen(server);
  },

  backend: () => startBackend({ delayMs }),

  demultiplexer: () => startDemultiplexer({ certificate, backends: process.env.BACKENDS!.split(' ') }),
};

const { url } = await contestants[process.argv[2] as Contestant]();

const handlers = { url: () => url };
export type LaneServer = typeof handlers;
answer(handlers);
