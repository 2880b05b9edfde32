/** Listening, and closing while connections of every kind are open. A long grace shows what ends before it, a short one what it ends. */
import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import { ConfigError } from '../env.ts';
import { listen } from '../listen.ts';
import { noLeaks } from '../testing/leaks.ts';
import { until, within } from '../testing/until.ts';
import { dial } from './fixtures/dial.ts';

/** Longer than a test may take: what closes before it did not wait for it. */
const NEVER_MS = 60_000;
const GET = 'GET / HTTP/1.1\r\nHost: test\r\n\r\n';

/** A server that answers when the test says so; `asked` resolves with the response to the first request. */
async function startServer({ graceMs = NEVER_MS, onRequest }: { graceMs?: number; onRequest?: RequestListener } = {}) {
  const asked = Promise.withResolvers<ServerResponse>();
  const server = createServer(onRequest ?? ((_request, response) => asked.resolve(response)));
  const listening = await listen(server, { graceMs });
  return { ...listening, listening, server, asked: asked.promise };
}

const closeAtOnce = (server: { close: () => Promise<void> }) => within('close', 10_000, server.close());

test('tells its URL, and listens there', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer({ onRequest: (_request, response) => response.end('hello') });
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(await (await fetch(server.url)).text()).toBe('hello');
});

test('tells the URL of an https server', async () => {
  await using server = await listen(createHttpsServer());
  expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
});

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
test.skipIf(!hasIpv6)('tells an IPv6 address in brackets', async () => {
  await using server = await listen(createServer(), { host: '::1' });
  expect(server.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
});

test('a response that is ended and not sent yet is sent to its end', async () => {
  await using _leaks = noLeaks();
  const size = 20_000_000; // more than the kernel takes at once
  await using server = await startServer({ onRequest: (_request, response) => response.end(Buffer.alloc(size)) });
  const reader = await fetch(server.url); // it reads when it is asked to
  await using quick = await dial(server.url, GET);
  await until('the first bytes', () => quick.received() !== '');
  const closed = server.close();
  await quick.closed;
  expect(quick.received().length).toBeGreaterThan(size);
  expect((await reader.arrayBuffer()).byteLength).toBe(size);
  await within('close', 10_000, closed);
});

test('a port in use is one line for the person who chose it', async () => {
  await using _leaks = noLeaks();
  await using first = await startServer();
  const port = Number(new URL(first.url).port);
  const error = await listen(createServer(), { port }).catch((reason) => reason);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error.message).toBe(`port ${port} of 127.0.0.1 is in use: choose another, or PORT=0 for a free one`);
  expect(error.cause).toMatchObject({ code: 'EADDRINUSE' });
});

test('another failure to listen is passed on as it is', async () => {
  await expect(listen(createServer(), { host: '192.0.2.1' })).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
});

test('an error that comes after listening is not swallowed', async () => {
  await using server = await startServer();
  expect(server.server.listenerCount('error')).toBe(0);
});

test('an idle keep-alive connection is closed at once', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer({ onRequest: (_request, response) => response.end('hello') });
  await using client = await dial(server.url, GET);
  await until('the answer', () => client.received().endsWith('hello'));
  expect(server.listening.connections).toBe(1);
  await closeAtOnce(server);
  expect(await client.closed).toContain('Connection: keep-alive');
  expect(server.listening.connections).toBe(0);
});

test('a connection on which nothing was ever asked is closed at once', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer();
  await using client = await dial(server.url);
  await until('the connection', () => server.listening.connections === 1);
  await closeAtOnce(server);
  expect(await client.closed).toBe('');
});

test('a request in flight is answered, and told that the connection closes', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer();
  await using client = await dial(server.url, GET);
  const response = await server.asked;
  const closed = server.close();
  expect(server.closing.aborted).toBe(true);
  response.end('finished');
  await within('close', 10_000, closed);
  expect(await client.closed).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n.*finished/s);
});

test('what a pattern answers because of `closing` is told as well', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer();
  await using client = await dial(server.url, GET);
  const response = await server.asked;
  server.closing.addEventListener('abort', () => response.writeHead(204).end());
  await closeAtOnce(server);
  expect(await client.closed).toMatch(/^HTTP\/1\.1 204 .*Connection: close\r\n/s);
});

test('a request of which only a part has come is answered, and told', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer();
  const accepted = once(server.server, 'connection');
  await using client = await dial(server.url, 'GET / HTTP/1.1\r\n');
  const [socket] = await accepted;
  await until('its first line', () => socket.bytesRead > 0);
  const closed = server.close();
  client.socket.write('Host: test\r\n\r\n');
  (await server.asked).end('finished');
  await within('close', 10_000, closed);
  expect(await client.closed).toMatch(/Connection: close\r\n.*finished/s);
});

test('a response that began as keep-alive is finished, and its connection closed with it', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer();
  await using client = await dial(server.url, GET);
  const response = await server.asked;
  response.write('half');
  await until('the head', () => client.received().includes('half'));
  const closed = server.close();
  response.end('whole');
  await within('close', 10_000, closed);
  expect(await client.closed).toMatch(/Connection: keep-alive.*half.*whole/s);
});

test('an endless response can end itself when closing begins', async () => {
  await using _leaks = noLeaks();
  await using server = await startServer();
  await using client = await dial(server.url, GET);
  const response = await server.asked;
  response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n');
  server.closing.addEventListener('abort', () => response.end('retry: 500\n\n'));
  await closeAtOnce(server);
  expect(await client.closed).toMatch(/data: 1.*retry: 500.*\r\n0\r\n\r\n$/s);
});

test('an endless response that does not is cut at the deadline, and not before', async () => {
  await using _leaks = noLeaks();
  const graceMs = 200;
  await using server = await startServer({ graceMs });
  await using client = await dial(server.url, GET);
  (await server.asked).writeHead(200).write('for ever');
  const startedAt = performance.now();
  await closeAtOnce(server);
  expect(performance.now() - startedAt).toBeGreaterThan(graceMs - 5);
  expect(await client.closed).toMatch(/for ever\r\n$/);
});

test('closing twice is closing once, while it lasts and afterwards', async () => {
  await using _leaks = noLeaks();
  const server = await startServer();
  await using client = await dial(server.url, GET);
  const response = await server.asked;
  const [first, second] = [server.close(), server.close()];
  expect(second).toBe(first);
  response.end('finished');
  await Promise.all([first, server[Symbol.asyncDispose]()]);
  await client.closed;
  await closeAtOnce(server);
});
