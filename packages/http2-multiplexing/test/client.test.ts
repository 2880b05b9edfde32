/**
 * The client against servers that follow a script. What may be done twice is counted where it counts: at the server.
 */
import { once } from 'node:events';
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream, type Settings } from 'node:http2';
import { createServer as createHttp1Server } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { publishCertificate } from '@patterns/kit/certificate';
import { listen } from '@patterns/kit/listen';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { describe, expect, test } from 'vitest';
import { type ClientOptions, openClient } from '../client.ts';
import type { Http2Error } from '../http2-error.ts';
import { DOWNLOAD, DOWNLOAD_BYTES, EVENTS, itemPath, LIVE, UPLOADS } from '../protocol.ts';
import { CODE } from './raw-http2.ts';
import { ca, certificate, serve } from './serving.ts';

const answer = (stream: ServerHttp2Stream, status = 200) => stream.respond({ ':status': status }, { endStream: true });
const codeOf = (request: Promise<unknown>) =>
  request.then(
    () => 'answered',
    (error: Http2Error) => error.code,
  );

/** A server that does with each stream, counted from 1 over all sessions, what `script` says; it lists what it was asked. */
async function scripted(
  script: (stream: ServerHttp2Stream, n: number, headers: IncomingHttpHeaders) => void,
  settings: Settings = {},
) {
  const asked: string[] = [];
  const server = createSecureServer({ ...certificate, settings });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    script(stream, asked.push(`${headers[':method']} ${headers[':path']}`), headers);
  });
  const sockets: Socket[] = [];
  server.on('connection', (socket: Socket) => sockets.push(socket));
  const listening = await listen(server, { graceMs: 100 });
  return {
    asked,
    url: listening.url,
    /** Ends its connections as a killed process does: without a word of TLS or of HTTP/2. */
    cut: () => sockets.forEach((socket) => void socket.destroy()),
    client: (options: ClientOptions = {}) => openClient(listening.url, { ca, backoffMs: 1, ...options }),
    [Symbol.asyncDispose]: () => listening.close(),
  };
}

test('more requests than the server allows at once wait in a queue, and none of them is refused', async () => {
  let open = 0;
  let most = 0;
  await using server = await scripted(
    (stream) => {
      most = Math.max(most, ++open);
      // The server's work: long enough that others are asked for meanwhile.
      setTimeout(() => {
        open--;
        answer(stream);
      }, 5);
    },
    { maxConcurrentStreams: 5 },
  );
  await using client = server.client();
  await (await client.request('/first')).text(); // now it knows the server's settings
  const texts = Array.from({ length: 40 }, async (_, n) => (await client.request(`/${n}`)).text());
  expect(client.queued).toBeGreaterThanOrEqual(35);
  await Promise.all(texts);
  expect([most, client.sessions, server.asked.length]).toEqual([5, 1, 41]);
  expect(server.asked.slice(1)).toEqual(Array.from({ length: 40 }, (_, n) => `GET /${n}`));
});

test('before it knows how many, some are refused, and asked again: none fails, and none is done twice', async () => {
  await using server = await scripted((stream) => answer(stream), { maxConcurrentStreams: 5 });
  await using client = server.client();
  const paths = Array.from({ length: 40 }, (_, n) => `/${n}`);
  await Promise.all(paths.map(async (path) => (await client.request(path, { method: 'POST' })).text()));
  expect(server.asked.sort()).toEqual(paths.map((path) => `POST ${path}`).sort());
});

test('the queue has an end: too many are told at once, too long after a deadline, and an abort leaves it', async () => {
  await using server = await scripted((stream, n) => void (n === 1 && answer(stream)), { maxConcurrentStreams: 1 });
  await using client = server.client({ maxQueued: 2, queueMs: 200 });
  await (await client.request('/first')).text(); // now it knows the server's settings
  const leaving = new AbortController();
  const first = codeOf(client.request('/lane', { signal: leaving.signal }));
  await until('the lane is taken', () => server.asked.length === 2);
  const late = codeOf(client.request('/late'));
  const aborted = codeOf(client.request('/aborted', { signal: leaving.signal }));
  expect(await codeOf(client.request('/full'))).toBe('queue-full');
  expect(await late).toBe('queue-late');
  leaving.abort();
  expect(await Promise.all([first, aborted])).toEqual(['aborted', 'aborted']);
  expect([server.asked, client.queued]).toEqual([['GET /first', 'GET /lane'], 0]);
});

test('GOAWAY: what is above its last stream is asked again on another session, POST as well, and the rest finishes', async () => {
  const open: ServerHttp2Stream[] = [];
  await using server = await scripted((stream, n) => {
    if (n > 4) return answer(stream, 201); // on the second session
    if (open.push(stream) < 4) return;
    stream.session?.goaway(CODE.NO_ERROR, 3); // streams 1 and 3 of 1, 3, 5, 7
    // The rest of the server's work: later than the GOAWAY, so that the client has time to give these two up, wrongly.
    setTimeout(() => {
      for (const each of open.slice(0, 2)) answer(each);
    }, 100);
  });
  await using client = server.client();
  const replies = await Promise.all(['/1', '/3', '/5', '/7'].map((path) => client.request(path, { method: 'POST' })));
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 201, 201]);
  expect(server.asked.slice(4).sort()).toEqual(['POST /5', 'POST /7']);
  expect(client.sessions).toBe(2);
});

test('GOAWAY with an error: what is above its last stream is asked again, of the rest nobody knows', async () => {
  await using server = await scripted((stream, n) => {
    if (n > 4) answer(stream);
    else if (n === 4) stream.session?.goaway(CODE.ENHANCE_YOUR_CALM, 3);
  });
  await using client = server.client();
  const codes = ['/1', '/3', '/5', '/7'].map((path) => codeOf(client.request(path, { method: 'POST' })));
  expect(await Promise.all(codes)).toEqual(['connection-lost', 'connection-lost', 'answered', 'answered']);
  expect(server.asked.slice(4).sort()).toEqual(['POST /5', 'POST /7']);
});

test('REFUSED_STREAM is asked again, whatever the method, but not for ever', async () => {
  await using server = await scripted((stream, n) => (n <= 2 ? stream.close(CODE.REFUSED_STREAM) : answer(stream)));
  await using client = server.client();
  expect((await client.request('/', { method: 'POST', body: 'x' })).status).toBe(200);
  expect(server.asked).toEqual(['POST /', 'POST /', 'POST /']);

  await using never = await scripted((stream) => stream.close(CODE.REFUSED_STREAM));
  await using persistent = never.client({ maxAttempts: 3 });
  expect(await codeOf(persistent.request('/'))).toBe('refused');
  expect(never.asked.length).toBe(3);
});

test('a body that is a stream is sent once, even when the server refused it', async () => {
  await using server = await scripted((stream) => stream.close(CODE.REFUSED_STREAM));
  await using client = server.client();
  expect(await codeOf(client.request('/', { method: 'PUT', body: Readable.from(['x']) }))).toBe('refused');
  expect(server.asked.length).toBe(1);
});

test('another reset: GET is asked again, POST is not, unless the caller says that it may be', async () => {
  await using server = await scripted((stream, n) => (n % 2 ? stream.close(CODE.INTERNAL_ERROR) : answer(stream)));
  await using client = server.client();
  expect(await codeOf(client.request('/get'))).toBe('answered');
  expect(await codeOf(client.request('/key', { method: 'POST', idempotent: true }))).toBe('answered');
  expect(await codeOf(client.request('/post', { method: 'POST' }))).toBe('reset');
  expect(server.asked).toEqual(['GET /get', 'GET /get', 'POST /key', 'POST /key', 'POST /post']);
});

test('kill -9 with requests under way: a GET is done again, a POST never, and nothing of which an answer had begun', async () => {
  const { cert: TLS_CERT, key: TLS_KEY } = certificate;
  const start = (env = {}) =>
    startProcess(new URL('counting-server.ts', import.meta.url), { env: { TLS_CERT, TLS_KEY, ...env } });
  await using mute = start({ ANSWERS: '0' });
  await using next = start();
  await using line = await startFaultProxy(await mute.url());
  await using client = openClient(line.url, { ca, backoffMs: 1 });
  const get = codeOf(client.request('/get'));
  const post = codeOf(client.request('/post', { method: 'POST', body: 'x' }));
  const begun = await client.request('/begun');
  await Promise.all(['GET /get', 'POST /post'].map((taken) => mute.line((each) => each === taken)));
  line.target(await next.url());
  await mute.kill('SIGKILL');
  expect(await Promise.all([get, post, codeOf(begun.text())])).toEqual([
    'answered',
    'connection-lost',
    'connection-lost',
  ]);
  await next.kill('SIGTERM');
  const done = next
    .output()
    .split('\n')
    .filter((each) => /^(?:GET|POST) /.test(each));
  expect(done).toEqual(['GET /get']);
});

test('an abort resets the stream with CANCEL, while waiting and while reading, and the session goes on', async () => {
  await using serving = await serve({ delayMs: 60_000 });
  await using client = serving.client();
  const leaving = new AbortController();
  const { signal } = leaving;
  const waiting = codeOf(client.request(itemPath(1), { signal }));
  const events = await client.request(EVENTS, { signal });
  const reading = codeOf(events.text());
  const dropped = await client.request(DOWNLOAD);
  await until('three streams', async () => (await serving.openStreams()) === 3);
  leaving.abort();
  dropped.body.destroy();
  expect(await Promise.all([waiting, reading])).toEqual(['aborted', 'aborted']);
  await until('no stream', async () => (await serving.openStreams()) === 0);
  expect(await serving.counted('resets')).toEqual({ CANCEL: 3 });
  expect(await (await client.request(LIVE)).text()).toBe('live\n');
  expect(client.sessions).toBe(1);
});

test('half an answer never passes for a whole one: cut off while it is read, it fails', async () => {
  await using server = await scripted((stream) => {
    stream.respond({ ':status': 200 });
    stream.write('half');
  });
  await using client = server.client();
  const [first, second] = [await client.request('/1'), await client.request('/2')];
  const read = [codeOf(first.text()), codeOf(second.body.toArray())];
  server.cut();
  expect(await Promise.all(read)).toEqual(['connection-lost', 'connection-lost']);
});

test('bodies go both ways with back-pressure: 5 MB up from a stream, 8 MB down through a slow reader', async () => {
  await using serving = await serve();
  await using client = serving.client();
  const chunk = Buffer.alloc(100_000);
  let made = 0;
  const upload = Readable.from(
    (function* () {
      for (; made < 50; made++) yield chunk;
    })(),
  );
  const reply = await client.request(UPLOADS, { method: 'POST', body: upload });
  expect(await reply.text()).toBe('{"bytes":5000000}');
  const { body } = await client.request(DOWNLOAD);
  await once(body, 'readable');
  for (let turn = 0; turn < 20; turn++) await (await client.request(LIVE)).text(); // meanwhile nobody reads it
  expect(body.readableLength).toBeLessThan(200_000);
  expect((await body.toArray()).reduce((sum: number, part: Buffer) => sum + part.length, 0)).toBe(DOWNLOAD_BYTES);
});

describe.concurrent('time limits', () => {
  test('of the connection, when nobody answers the hello', async () => {
    const sockets: { destroy(): void }[] = [];
    const mute = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    await using client = openClient(`https://127.0.0.1:${(mute.address() as { port: number }).port}`, {
      ca,
      connectMs: 200,
      maxAttempts: 2,
      backoffMs: 1,
    });
    expect(await codeOf(client.request('/'))).toBe('connect-failed');
    expect(client.sessions).toBe(2);
    for (const socket of sockets) socket.destroy();
    mute.close();
  });

  test('of the answer: the stream is reset, and it is not asked again', async () => {
    await using server = await scripted(() => {});
    await using client = server.client({ requestMs: 500 });
    expect(await codeOf(client.request('/'))).toBe('timeout');
    expect(server.asked.length).toBe(1);
  });

  test('of a server that has vanished: it answers no PING, and its open body fails', async () => {
    await using serving = await serve();
    await using line = await startFaultProxy(serving.url);
    await using client = openClient(line.url, { ca, pingMs: 300 });
    const events = await client.request(EVENTS);
    line.stall();
    await expect(events.text()).rejects.toMatchObject({
      code: 'connection-lost',
      message: expect.stringContaining('PING'),
    });
  });
});

test('a server that is not trusted, or speaks no HTTP/2, gets no request', async () => {
  await using server = await scripted((stream) => answer(stream));
  await using distrustful = openClient(server.url, { maxAttempts: 1 });
  const untrusted = { code: 'connect-failed', message: expect.stringContaining('self-signed') };
  await expect(distrustful.request('/')).rejects.toMatchObject(untrusted);
  let asked = 0;
  await using old = await listen(createHttp1Server(certificate, () => asked++));
  await using client = openClient(old.url, { ca, maxAttempts: 1 });
  expect(await codeOf(client.request('/'))).toBe('connect-failed');
  expect([server.asked.length, asked]).toEqual([0, 0]);
});

test('closing ends what is open and what waits, and leaves nothing', async () => {
  await using _leaks = noLeaks();
  await using server = await scripted((stream, n) => void (n === 1 && answer(stream)), { maxConcurrentStreams: 1 });
  const ending = new AbortController();
  await using client = server.client({ signal: ending.signal });
  await (await client.request('/first')).text(); // now it knows the server's settings
  const open = codeOf(client.request('/open'));
  await until('the lane is taken', () => server.asked.length === 2);
  const waiting = codeOf(client.request('/waiting'));
  await until('the next one waits', () => client.queued === 1);
  ending.abort();
  expect(await Promise.all([open, waiting, codeOf(client.request('/after'))])).toEqual(['closed', 'closed', 'closed']);
});

test('by hand: it loads the page over one connection, and ends', async () => {
  await using house = await serve();
  await using file = await publishCertificate(certificate);
  await using program = startProcess(new URL('../client.ts', import.meta.url), { args: [house.url, file.path] });
  expect(await program.line(/^100 items/)).toMatch(/over 1 connection$/);
  expect(await program.exited).toEqual({ code: 0, signal: null });
});
