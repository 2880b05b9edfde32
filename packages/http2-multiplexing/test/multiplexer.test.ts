import { once } from 'node:events';
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { constants, createSecureServer } from 'node:http2';
import { buffer, text } from 'node:stream/consumers';
import { listen } from '@patterns/kit/listen';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { type MultiplexerOptions, startMultiplexer } from '../multiplexer.ts';
import { DOWNLOAD_BYTES } from '../protocol.ts';
import { type ServerOptions, startServer } from '../server.ts';
import { certificate, silentLog as log } from './proxy.ts';

const start = (options: Omit<ServerOptions, 'certificate' | 'log'> = {}) =>
  startServer({ certificate, log, graceMs: 1_000, ...options });

async function startProxy(server: string, { client, ...options }: Partial<MultiplexerOptions> = {}) {
  return startMultiplexer({ server, log, graceMs: 1_000, client: { ca: certificate.cert, ...client }, ...options });
}

/** A request on a connection of its own, unless an agent is given. */
function ask(url: string, options: RequestOptions = {}, body?: string | Buffer) {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asked = request(url, { agent: false, ...options }, resolve).on('error', reject);
  promise.catch(() => {});
  asked.end(body);
  return { asked, response: promise };
}

const statusOf = async (url: string, options?: RequestOptions, content?: string) => {
  const response = await ask(url, options, content).response;
  const body = await text(response);
  return { status: response.statusCode, headers: response.headers, body, trailers: response.trailers };
};

test('fifty connections in, one out', async () => {
  await using _leaks = noLeaks();
  await using server = await start({ delayMs: 20 });
  await using proxy = await startProxy(server.url);
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const asked = Array.from({ length: 100 }, (_, n) => statusOf(`${proxy.url}/items/${n + 1}`, { agent }));
  await until('fifty connections', () => proxy.connections === 50);
  const answers = await Promise.all(asked);
  expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(200));
  expect(answers.map(({ body }) => JSON.parse(body).item)).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
  expect([server.connections, server.sessions.size, proxy.client.sessions]).toEqual([1, 1, 1]);
  agent.destroy();
});

test('when the server goes, no request is lost, and none is done twice', async () => {
  await using first = await start({ delayMs: 5 });
  await using second = await start({ delayMs: 5 });
  await using line = await startFaultProxy(first.url);
  await using proxy = await startProxy(line.url);
  let left = 300;
  const statuses: (number | undefined)[] = [];
  const work = async () => {
    while (left-- > 0) {
      const isUpload = left % 3 === 0;
      const { status } = isUpload
        ? await statusOf(`${proxy.url}/uploads`, { method: 'POST', headers: { 'Content-Length': 5 } }, 'hello')
        : await statusOf(`${proxy.url}/items/1`);
      statuses.push(status);
    }
  };
  const working = Promise.all(Array.from({ length: 20 }, work));
  await until('it is at work', () => statuses.length > 50);
  line.target(second.url);
  await first.close(); // GOAWAY, and what is open is answered
  await working;
  expect(statuses).toEqual(Array(300).fill(200));
  expect(proxy.client.sessions).toBe(2);
  const streams = await Promise.all([first, second].map(({ metrics }) => metrics.streams.get()));
  expect(streams.map(({ values }) => values[0]!.value).reduce((a, b) => a + b)).toBe(300);
});

test('what the server has not looked at is sent again with its content, if that is small and of a known length', async () => {
  const contents: string[] = [];
  const http2 = createSecureServer({ ...certificate });
  http2.on('stream', (stream) => {
    let content = '';
    stream.on('error', () => {});
    stream.on('data', (chunk) => (content += chunk));
    stream.on('end', () => {
      if (contents.push(content) === 2) stream.respond({}, { endStream: true });
      else stream.close(constants.NGHTTP2_REFUSED_STREAM);
    });
  });
  await using server = await listen(http2, { graceMs: 0 });
  await using proxy = await startProxy(server.url);
  const known = { method: 'POST', headers: { 'Content-Length': 7 } };
  expect((await statusOf(proxy.url, known, 'content')).status).toBe(200);
  const unknown = { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' } };
  expect((await statusOf(proxy.url, unknown, 'chunks')).status).toBe(503);
  expect(contents).toEqual(['content', 'content', 'chunks']);
});

test('fields are carried over, the host as :authority, and what the client claims about itself is dropped', async () => {
  await using server = await listen(
    createSecureServer({ ...certificate }, ({ headers }, response) => {
      response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'] });
      response.addTrailers({ digest: 'sha-256=abc' });
      response.end(JSON.stringify(headers));
    }),
    { graceMs: 0 },
  );
  await using proxy = await startProxy(server.url);
  const { headers, body, trailers } = await statusOf(proxy.url, {
    headers: {
      Host: 'shop.test',
      Connection: 'close, X-Hop',
      'X-Hop': '1',
      'X-Forwarded-For': '6.6.6.6',
      'Keep-Alive': 'timeout=9',
      Upgrade: 'h2c',
      Cookie: 'a=1; b=2',
    },
  });
  expect(headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], via: '2.0 patterns' });
  const got = JSON.parse(body);
  expect(got).toMatchObject({ ':authority': 'shop.test', 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http' });
  expect(got).toMatchObject({ cookie: 'a=1; b=2', via: '1.1 patterns' });
  for (const name of ['connection', 'x-hop', 'keep-alive', 'upgrade', 'host']) expect(got).not.toHaveProperty(name);
  expect(trailers).toEqual({ digest: 'sha-256=abc' });
});

test('bodies stream, both ways, an event passes at once, and HEAD has none', async () => {
  await using server = await start();
  await using proxy = await startProxy(server.url);
  const up = await ask(`${proxy.url}/uploads`, { method: 'POST' }, Buffer.alloc(5_000_000)).response;
  expect(JSON.parse(await text(up))).toEqual({ bytes: 5_000_000 });
  const down = await ask(`${proxy.url}/download`).response;
  expect((await buffer(down)).length).toBe(DOWNLOAD_BYTES);
  const head = await statusOf(`${proxy.url}/resource1`, { method: 'HEAD' });
  expect(head).toMatchObject({ status: 200, body: '' });
  const events = await ask(`${proxy.url}/events`).response;
  await once(events, 'data');
  events.destroy();
  await until('its stream is reset', () =>
    server.metrics.openStreams.get().then(({ values }) => values[0]?.value === 0),
  );
});

test('502 when there is no server, 504 when it does not answer, 503 when there is no room: told apart', async () => {
  await using gone = await start();
  await gone.close();
  await using unreachable = await startProxy(gone.url, { client: { maxAttempts: 1 } });
  const none = await statusOf(`${unreachable.url}/items/1`);
  expect([none.status, none.headers['content-type']]).toEqual([502, 'application/problem+json']);

  await using slow = await start({ delayMs: 60_000, limits: { maxConcurrentStreams: 1 } });
  await using impatient = await startProxy(slow.url, { client: { requestMs: 300 } });
  expect((await statusOf(`${impatient.url}/items/1`)).status).toBe(504);

  await using full = await startProxy(slow.url, { client: { maxQueued: 1, queueMs: 300 } });
  const warm = statusOf(`${full.url}/resource1`);
  expect((await warm).status).toBe(200); // by now the server's limit is known
  const { asked: open } = ask(`${full.url}/items/1`);
  await until('it has the lane', async () => (await slow.metrics.openStreams.get()).values[0]?.value === 1);
  const waiting = statusOf(`${full.url}/items/2`);
  await until('it waits', () => full.client.queued === 1);
  const refused = await statusOf(`${full.url}/items/3`);
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
  expect((await waiting).status, 'of the one that waited too long').toBe(503);
  open.destroy();
});

test('a client that takes nothing of its answer is cut off, and its stream is reset', async () => {
  await using server = await start();
  await using proxy = await startProxy(server.url, { silenceMs: 300 });
  const response = await ask(`${proxy.url}/download`).response;
  await until('its stream is reset', async () => (await server.metrics.openStreams.get()).values[0]?.value === 0);
  await expect(buffer(response)).rejects.toThrow('aborted');
});

test('an answer that breaks off in its middle never looks complete', async () => {
  await using server = await start();
  await using line = await startFaultProxy(server.url);
  await using proxy = await startProxy(line.url);
  const response = await ask(`${proxy.url}/events`).response;
  await once(response, 'data');
  line.cut();
  await expect(once(response, 'end')).rejects.toThrow('aborted');
});

test('at shutdown what is open is answered, and the session ends', async () => {
  await using _leaks = noLeaks();
  await using server = await start({ delayMs: 50 });
  await using proxy = await startProxy(server.url);
  const asked = statusOf(`${proxy.url}/items/1`);
  await until('it is asked', () => server.sessions.size === 1);
  await proxy.close();
  expect((await asked).status).toBe(200);
  await until('the session is closed', () => server.connections === 0);
});
