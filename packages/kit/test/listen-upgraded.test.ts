/** Closing what `server.close()` of HTTP/1.1 does not know: upgraded sockets and HTTP/2 sessions. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  createServer as createHttp2Server,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from 'node:http2';
import { expect, test } from 'vitest';
import { listen } from '../listen.ts';
import { noLeaks } from '../testing/leaks.ts';
import { until, within } from '../testing/until.ts';
import { dial } from './fixtures/dial.ts';

const UPGRADE = 'GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';

/** Longer than a test may take: what closes before it did not wait for it. */
const NEVER_MS = 60_000;

async function startUpgrading(graceMs: number) {
  const server = createServer();
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    listening.closing.addEventListener('abort', () => socket.write('goodbye'));
    socket.on('data', () => socket.end());
  });
  const listening = await listen(server, { graceMs });
  return listening;
}

test('an upgraded socket is cut at the deadline, and not before', async () => {
  await using _leaks = noLeaks();
  const graceMs = 200;
  await using server = await startUpgrading(graceMs);
  await using client = await dial(server.url, UPGRADE);
  await until('the upgrade', () => client.received().includes('101'));
  const startedAt = performance.now();
  await within('close', 10_000, server.close());
  expect(performance.now() - startedAt).toBeGreaterThan(graceMs - 5);
  expect(await client.closed).toMatch(/goodbye$/);
  expect(server.connections).toBe(0);
});

test('an upgraded socket that says goodbye in time is waited for', async () => {
  await using _leaks = noLeaks();
  await using server = await startUpgrading(NEVER_MS);
  await using client = await dial(server.url, UPGRADE);
  await until('the upgrade', () => client.received().includes('101'));
  const closed = server.close();
  await until('the goodbye', () => client.received().endsWith('goodbye'));
  expect(server.connections).toBe(1);
  client.socket.write('goodbye');
  await within('close', 10_000, closed);
});

/** An HTTP/2 server with one session, on which one stream was asked for. */
async function startHttp2(graceMs: number) {
  const asked = Promise.withResolvers<ServerHttp2Stream>();
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.write('half ');
    asked.resolve(stream);
  });
  const listening = await listen(server, { graceMs });
  const session = connect(listening.url);
  session.on('error', () => {}); // a cut session: its close tells
  return {
    listening,
    session,
    asked: asked.promise,
    async [Symbol.asyncDispose]() {
      session.destroy();
      await listening.close();
    },
  };
}

/** What Node warns of while `act` runs: nothing else says that a header was dropped. */
async function warnings(act: () => Promise<void>): Promise<string[]> {
  const heard: string[] = [];
  const hear = (warning: Error) => heard.push(warning.message);
  process.on('warning', hear);
  await act();
  process.off('warning', hear);
  return heard;
}

/** Asks for a stream. Resolves, when that stream is over, with what came, and whether it came to its end. */
async function ask(session: ClientHttp2Session): Promise<{ text: string; ended: boolean }> {
  const stream = session.request({ ':path': '/' }).setEncoding('utf8');
  let text = '';
  let ended = false;
  stream.on('error', () => {});
  stream.on('data', (data) => {
    text += data;
  });
  stream.on('end', () => {
    ended = stream.rstCode === 0 && !stream.aborted;
  });
  await once(stream, 'close');
  return { text, ended };
}

test('an HTTP/2 session without streams is closed at once', async () => {
  await using _leaks = noLeaks();
  await using http2 = await startHttp2(NEVER_MS);
  await once(http2.session, 'remoteSettings');
  await within('close', 10_000, http2.listening.close());
});

test('an HTTP/2 stream in flight finishes after the GOAWAY', async () => {
  await using _leaks = noLeaks();
  await using http2 = await startHttp2(NEVER_MS);
  const answer = ask(http2.session);
  const stream = await http2.asked;
  const goaway = once(http2.session, 'goaway');
  const closed = http2.listening.close();
  const [code, lastStreamId] = await goaway;
  expect({ code, lastStreamId }).toEqual({ code: 0, lastStreamId: stream.id });
  stream.end('whole');
  await within('close', 10_000, closed);
  expect(await answer).toEqual({ text: 'half whole', ended: true });
});

test('an HTTP/2 request in flight is not given a Connection header, which HTTP/2 forbids [RFC 9113 §8.2.2]', async () => {
  await using _leaks = noLeaks();
  const asked = Promise.withResolvers<Http2ServerResponse>();
  const server = createHttp2Server((_request, response) => asked.resolve(response));
  await using listening = await listen(server, { graceMs: NEVER_MS });
  const session = connect(listening.url);
  const answer = ask(session);
  const response = await asked.promise;
  const heard = await warnings(async () => {
    const closed = listening.close();
    response.end('whole');
    await within('close', 10_000, closed);
  });
  expect(heard).toEqual([]);
  expect(await answer).toEqual({ text: 'whole', ended: true });
});

test('an endless HTTP/2 stream is cut at the deadline, and not before', async () => {
  await using _leaks = noLeaks();
  const graceMs = 200;
  await using http2 = await startHttp2(graceMs);
  const answer = ask(http2.session);
  await http2.asked;
  const startedAt = performance.now();
  await within('close', 10_000, http2.listening.close());
  expect(performance.now() - startedAt).toBeGreaterThan(graceMs - 5);
  expect(await answer).toMatchObject({ ended: false });
});
