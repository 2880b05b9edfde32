/** What crosses, and how it is framed: headers, bodies, streams, both ways. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';
import { until, within } from '@patterns/kit/testing/until';
import { expect } from 'vitest';
import { type Clauses, headOf } from './contract.ts';
import { answerOk, startRawApp } from './contract-app.ts';
import { ask, rawClient, statuses } from './contract-client.ts';

const MB = 1_000_000;
/** What 20 MB through four sockets may take where others work as well. */
const BUSY = { withinMs: 18_000 };

export const framing: Clauses = {
  'request headers end to end': [
    'what concerns one connection stays on it: Connection and what it names, Keep-Alive, TE, Trailer, Upgrade, Proxy-*',
    async (rig) => {
      const { app, url } = await rig.start();
      using client = await rawClient(url);
      client.write(
        'GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close, X-Debug\r\nX-Debug: 1\r\nKeep-Alive: timeout=9\r\n' +
          'TE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy-Connection: keep-alive\r\n' +
          'Proxy-Authorization: Basic c2VjcmV0\r\nX-Custom: kept\r\n\r\n',
      );
      await client.closed();
      const { fields } = app.head();
      expect(fields.get('x-custom')).toBe('kept');
      expect(fields.get('host')).toBe('shop.example');
      for (const name of ['x-debug', 'te', 'trailer', 'upgrade', 'proxy-connection', 'proxy-authorization'])
        expect(fields.has(name), name).toBe(false);
      expect(fields.get('keep-alive') ?? '').not.toContain('9');
      expect(fields.get('connection') ?? '').not.toMatch(/debug/i);
    },
  ],
  'answer headers end to end': [
    "the app's Connection and what it names, Keep-Alive and Proxy-Authenticate do not reach the client; Set-Cookie stays two",
    async (rig) => {
      const answer =
        'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Internal\r\nX-Internal: secret\r\nKeep-Alive: timeout=77\r\n' +
        'Proxy-Authenticate: Basic\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok';
      const app = rig.use(await startRawApp((socket) => void socket.write(answer)));
      const { url } = await rig.startBefore(app.upstream);
      const { headers } = await ask(url);
      expect(headers['x-kept']).toBe('yes');
      expect(headers['set-cookie']).toEqual(['a=1', 'b=2']);
      expect(headers).not.toHaveProperty('x-internal');
      expect(headers).not.toHaveProperty('proxy-authenticate');
      expect(headers['keep-alive'] ?? '').not.toContain('77');
    },
  ],
  'one framing header': [
    'chunks go on as chunks, a length as a length, nothing as nothing: never Content-Length and Transfer-Encoding together',
    async (rig) => {
      const { app, url } = await rig.start();
      for (const [options, framing, bytes] of [
        [{ method: 'POST', body: ['pie', 'ces'] }, { te: 'chunked', length: undefined }, 6],
        [{ method: 'PUT', body: 'whole' }, { te: undefined, length: '5' }, 5],
        [{ method: 'GET' }, { te: undefined, length: undefined }, 0],
      ] as const) {
        const answer = await ask(url, '/', options);
        expect(JSON.parse(answer.body)).toMatchObject({ bytes });
        const { fields } = app.head();
        expect({ te: fields.get('transfer-encoding'), length: fields.get('content-length') }).toEqual(framing);
      }
      // A POST without a body: no chunks, and if a length, then none.
      await ask(url, '/', { method: 'POST', headers: { 'Content-Length': '0' } });
      expect(app.head().fields.get('transfer-encoding')).toBeUndefined();
      expect(app.head().fields.get('content-length') ?? '0').toBe('0');
    },
  ],
  'answers without a body': [
    'HEAD, 204 and 304 have none, keep the length that they tell of, and the next answer on the connection is the next one',
    async (rig) => {
      const { url } = await rig.start((request, response) => {
        const status = request.url === '/304' ? 304 : request.url === '/204' ? 204 : 200;
        response
          .writeHead(status, status === 204 ? {} : { 'Content-Length': 5, ETag: '"x"' })
          .end(status === 200 ? 'hello' : undefined);
      });
      using client = await rawClient(url);
      for (const [method, path, end] of [
        ['HEAD', '/', /Content-Length: 5\r\n[\s\S]*\r\n\r\n$/i],
        ['GET', '/304', /304 [\s\S]*ETag: "x"\r\n[\s\S]*\r\n\r\n$/i],
        ['GET', '/204', /204 [\s\S]*\r\n\r\n$/],
        ['GET', '/', /\r\n\r\nhello$/],
      ] as const) {
        client.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await client.wait(end);
      }
      expect(statuses(client.received())).toEqual([200, 304, 204, 200]);
      expect(client.received().match(/hello/g)).toHaveLength(1);
      expect(headOf(client.received(), 2)).not.toMatch(/transfer-encoding|content-length/i); // of the 204 [RFC 9112 §6.1, §6.2]
    },
  ],
  'HTTP/1.0 clients': [
    'a client that does not know chunks gets none: the end of the connection is the end of the answer',
    async (rig) => {
      const { url } = await rig.start((_request, response) => {
        response.write('one ');
        response.end('two');
      });
      using client = await rawClient(url);
      client.write('GET / HTTP/1.0\r\nHost: x\r\n\r\n');
      const received = await client.closed();
      expect(received).not.toMatch(/transfer-encoding/i);
      expect(received.endsWith('\r\n\r\none two')).toBe(true);
    },
  ],
  '100-continue': [
    'who asks before sending a body is told to go on when the powers have let it pass, and not when they have not',
    async (rig) => {
      const { app, url } = await rig.start(answerOk, { limits: { maxBodyBytes: 10 } });
      const head = (length: number) =>
        `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;
      using accepted = await rawClient(url);
      accepted.write(head(4));
      await accepted.wait(/^HTTP\/1\.1 100 /);
      accepted.write('body');
      await accepted.wait(/"bytes":4/);
      using refused = await rawClient(url);
      refused.write(head(11));
      expect(statuses(await refused.wait(/413/))).toEqual([413]);
      expect(app.requests).toEqual(['POST /']);
      expect(app.head().fields.has('expect')).toBe(false);
    },
  ],
  'events at once': [
    'an event reaches the client when the app writes it, and the head of a stream before its first event',
    async (rig) => {
      const stream = Promise.withResolvers<ServerResponse>();
      const { url } = await rig.start((_request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
        stream.resolve(response);
      });
      using client = await rawClient(url);
      client.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
      const events = await stream.promise;
      await client.wait(/text\/event-stream\r\n[\s\S]*\r\n\r\n/);
      for (const n of [1, 2, 3]) {
        events.write(`data: ${n}\n\n`);
        await client.wait(new RegExp(`data: ${n}\n\n`)); // the next one is not even written yet
      }
    },
  ],
  'uploads are not held in memory': [
    'an app that does not read stops the client: of 20 MB a part is under way; when it reads, it gets all of them',
    async (rig) => {
      const asked = Promise.withResolvers<[IncomingMessage, ServerResponse]>();
      const { url } = await rig.start((...exchange) => asked.resolve(exchange), { limits: { maxBodyBytes: 30 * MB } });
      using client = await rawClient(url);
      client.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${20 * MB}\r\n\r\n`);
      const sent = writePieces(client.socket, 20 * MB);
      const [request, response] = await asked.promise;
      expect(await settled(() => sent.bytes)).toBeLessThan(12 * MB); // what the system's buffers on the way hold, some MB each
      answerOk(request, response);
      await until('all of it', () => client.received().includes(`"bytes":${20 * MB}`), BUSY);
    },
  ],
  'downloads are not held in memory': [
    'a client that does not read stops the app; when it reads, it gets everything',
    async (rig) => {
      let sent = { bytes: 0 };
      const { url } = await rig.start((_request, response) => {
        response.writeHead(200, { 'Content-Length': 20 * MB });
        sent = writePieces(response, 20 * MB);
      });
      using client = await rawClient(url);
      client.socket.pause();
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      expect(await settled(() => sent.bytes)).toBeLessThan(12 * MB);
      client.socket.resume();
      await until('all of it', () => client.socket.bytesRead > 20 * MB, BUSY);
    },
  ],
  'who leaves takes the question along': [
    'a client that goes away ends the request at the app: while it thinks, while it is sent a body, while it answers',
    async (rig) => {
      const asked: ServerResponse[] = [];
      const { app, url } = await rig.start((request, response) => {
        asked.push(response);
        if (request.url === '/stream') response.write('begun');
        request.resume();
      });
      for (const [path, body] of [
        ['/hang', '\r\n'],
        ['/upload', 'Content-Length: 100\r\n\r\nsome'],
        ['/stream', '\r\n'],
      ]) {
        using client = await rawClient(url);
        client.write(`${body?.startsWith('C') ? 'POST' : 'GET'} ${path} HTTP/1.1\r\nHost: x\r\n${body}`);
        await until(`${path} is at the app`, () => app.requests.some((each) => each.endsWith(path!)));
        if (path === '/stream') await client.wait(/begun/);
        client.socket.destroy();
        await until(`${path} has ended at the app`, () => asked.at(-1)!.closed);
      }
    },
  ],
  'half an answer is no answer': [
    'when the app breaks off in the middle, the connection is cut: the client must not take it for the whole',
    async (rig) => {
      const { url } = await rig.start((request, response) => {
        if (request.url === '/length') response.writeHead(200, { 'Content-Length': 100 });
        response.write('half');
        setImmediate(() => response.socket!.destroy());
      });
      for (const path of ['/length', '/chunks']) {
        using client = await rawClient(url);
        client.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
        const received = await within('the cut', 5_000, client.closed());
        expect(received).not.toMatch(/\r\n0\r\n\r\n$/); // the last chunk, which would say that this was all
      }
    },
  ],
  'an early answer ends the connection': [
    'when the answer comes before the body has, the rest of the body is not read as the next request',
    async (rig) => {
      const limited = await rig.start(answerOk, { limits: { maxBodyBytes: 10 } });
      const away = await rig.startBefore('unix:/nowhere/app.sock');
      for (const [url, status] of [
        [limited.url, 413],
        [away.url, 502],
      ] as const) {
        using client = await rawClient(url);
        client.write('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n');
        await client.wait(/^HTTP\/1\.1 [45]/);
        client.write('GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n');
        expect(statuses(await client.closed())).toEqual([status]);
      }
      expect(limited.app.requests).toEqual([]);
    },
  ],
};

/** Writes that much, piece by piece, as fast as it is taken; says how much that was so far. */
function writePieces(output: Writable, total: number): { bytes: number } {
  const sent = { bytes: 0 };
  const piece = Buffer.alloc(100_000, 'a');
  const go = () => {
    while (sent.bytes < total) {
      sent.bytes += piece.length;
      if (!output.write(piece)) return void output.once('drain', go);
    }
  };
  go();
  return sent;
}

/** A number that no longer changes: what was to move has moved. */
async function settled(read: () => number): Promise<number> {
  let last = -1;
  let since = performance.now();
  return until(
    'a standstill',
    () => {
      if (read() !== last) since = performance.now();
      last = read();
      return performance.now() - since > 300 && last;
    },
    BUSY,
  );
}
