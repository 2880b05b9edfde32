import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { text } from 'node:stream/consumers';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { startBackend } from '../backend.ts';
import { certificate, OPEN, openSession, startHttp, startProxy, startTcp } from './proxy.ts';

test('a hundred streams on one connection are at most N connections to each of two backends', async () => {
  await using _leaks = noLeaks();
  await using a = await startBackend({ delayMs: 5 });
  await using b = await startBackend({ delayMs: 5 });
  await using proxy = await startProxy([a.url, b.url], { upstream: { connections: 3, queueMs: 30_000 } });
  const asked = Array.from({ length: 100 }, (_, n) => proxy.request(`/items/${n}`).seen);
  const bodies = (await Promise.all(asked)).map(({ body }) => JSON.parse(body).id);
  expect(bodies).toEqual(Array.from({ length: 100 }, (_, n) => n));
  expect(proxy.proxy.sessions.size).toBe(1);
  expect([a.stats.mostConnections, b.stats.mostConnections]).toEqual([3, 3]);
  expect(await proxy.metric('proxy_upstream_sockets')).toBe(6);
  expect(await proxy.metric('proxy_queue_wait_seconds_count')).toBe(100);
  expect(await proxy.metric('proxy_queue_wait_seconds_bucket{le="0"}')).toBe(6);
});

test('the backend that has less to do is asked', async () => {
  await using a = await startBackend({ tickMs: 10_000 });
  await using b = await startBackend({ tickMs: 10_000 });
  await using proxy = await startProxy([a.url, b.url]);
  const events = proxy.request('/events');
  await once(events.stream, 'data');
  for (let n = 0; n < 4; n++) await proxy.request(`/items/${n}`).seen;
  expect(Math.max(a.stats.requests, b.stats.requests)).toBe(4);
});

test('fields are carried over without those of a connection, in both directions', async () => {
  await using backend = await startHttp((request, response) => {
    response.setHeader('Connection', 'keep-alive, X-Internal');
    response.setHeader('X-Internal', 'secret');
    response.setHeader('Proxy-Authenticate', 'Basic');
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    response.end(JSON.stringify(request.rawHeaders)); // chunks or a length, Keep-Alive: Node adds them
  });
  await using proxy = await startProxy([backend.url]);
  const { status, headers, body } = await proxy.request({
    ':path': '/',
    ':authority': 'shop.test',
    cookie: ['a=1', 'b=2'],
    te: 'trailers',
    'x-forwarded-for': '6.6.6.6',
  }).seen;
  expect(status).toBe(200);
  expect(headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], via: '1.1 patterns' });
  for (const name of ['connection', 'keep-alive', 'x-internal', 'transfer-encoding', 'proxy-authenticate'])
    expect(headers).not.toHaveProperty(name);
  const sent: string[] = JSON.parse(body);
  expect(sent.join('\n')).toMatch(/^host\nshop.test\nconnection\nkeep-alive\n/i);
  const rest = Object.fromEntries(sent.flatMap((name, i) => (i % 2 === 0 ? [[name, sent[i + 1]]] : [])));
  expect(rest).toMatchObject({ cookie: 'a=1; b=2', 'x-forwarded-for': '127.0.0.1', via: '2.0 patterns' });
  expect(rest).toMatchObject({ 'x-forwarded-proto': 'https', traceparent: expect.stringMatching(/^00-/) });
  expect(rest).not.toHaveProperty('te');
});

test('a request that the client resets is aborted at the backend, and its connection is free again', async () => {
  const backend = await startBackend({ tickMs: 10_000 });
  await using _backend = backend;
  await using proxy = await startProxy([backend.url], { upstream: { connections: 1 } });
  const events = proxy.request('/events');
  await once(events.stream, 'data'); // an event has passed while the answer goes on
  const waiting = proxy.request('/items/1');
  await until('one waits', () => proxy.proxy.upstream.queued === 1);
  events.stream.close(8);
  expect(await waiting.seen).toMatchObject({ status: 200 });
  await until('the backend has noticed', () => backend.stats.aborted === 1);
});

test('one that is reset while it waits is never sent', async () => {
  await using backend = await startBackend({ tickMs: 10_000 });
  await using proxy = await startProxy([backend.url], { upstream: { connections: 1, queueMs: 60_000 } });
  const events = proxy.request('/events');
  await once(events.stream, 'data');
  const waiting = proxy.request({ ':path': '/effects', ':method': 'POST' });
  await until('it waits', () => proxy.proxy.upstream.queued === 1);
  waiting.stream.close(8);
  await until('it has left the queue', () => proxy.proxy.upstream.queued === 0);
  events.stream.close(8);
  expect((await proxy.request('/stats').seen).body).toContain('"effects":0');
});

test('503 when the queue is full, and when it was too slow: with Retry-After', async () => {
  await using backend = await startBackend({ tickMs: 10_000 });
  await using proxy = await startProxy([backend.url], { upstream: { connections: 1, maxQueue: 1, queueMs: 200 } });
  const events = proxy.request('/events');
  await once(events.stream, 'data');
  const waiting = proxy.request('/items/1');
  await until('it waits', () => proxy.proxy.upstream.queued === 1);
  const full = await proxy.request('/items/2').seen;
  const late = await waiting.seen;
  for (const { headers } of [full, late]) {
    expect(headers).toMatchObject({ ':status': 503, 'retry-after': '1', 'content-type': 'application/problem+json' });
  }
  expect(JSON.parse(full.body).detail).toBe('too many requests wait for a backend');
  expect(JSON.parse(late.body).detail).toBe('no backend had time within 200 ms');
  expect(await proxy.metric('proxy_failures_total')).toBe(2);
});

test('504 when the backend does not answer; it hears that nobody waits any more', async () => {
  await using backend = await startTcp((socket) => socket.resume());
  await using proxy = await startProxy([backend.url], { answerMs: 200 });
  const { status, body } = await proxy.request('/').seen;
  expect([status, JSON.parse(body).detail]).toEqual([504, 'the backend did not answer in time']);
  await until('closed', () => backend.sockets.size === 0);
});

test('502 when it hangs up, and for an answer that is none', async () => {
  await using hungUp = await startTcp((socket) => socket.once('data', () => socket.resetAndDestroy()));
  await using first = await startProxy([hungUp.url]);
  expect((await first.request('/').seen).body).toContain('"detail":"the backend hung up"');
  await using babbling = await startTcp((socket) => socket.once('data', () => socket.write('SSH-2.0-OpenSSH_9.2\r\n')));
  await using second = await startProxy([babbling.url]);
  const { status, body } = await second.request('/').seen;
  expect([status, JSON.parse(body).detail]).toEqual([502, 'the backend gave an answer that is none']);
});

test('an answer that breaks off in its middle is reset, and never looks complete', async () => {
  await using backend = await startHttp((_request, response) => {
    response.write('half'); // in chunks: without a length only the reset can tell
    setImmediate(() => response.socket!.destroy());
  });
  await using proxy = await startProxy([backend.url]);
  expect(await proxy.request('/').seen).toMatchObject({ status: 200, body: 'half', code: 2 });
});

test('when a backend is killed with requests open, GETs are answered by the other, and it is left out', async () => {
  await using survivor = await startBackend();
  await using victim = startProcess(new URL('../backend.ts', import.meta.url), { env: { DELAY_MS: '60000' } });
  await using proxy = await startProxy([await victim.url(), survivor.url], { upstream: { ejectMs: 60_000 } });
  const [first, second] = proxy.proxy.upstream.backends;
  const asked = [1, 2, 3, 4].map((n) => proxy.request(`/items/${n}`).seen);
  await until('it is asked', () => first!.busy >= 2 && first!.sockets >= 2);
  await victim.kill();
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  // To find out that it is gone for good, somebody has to knock once: who then is answered by the other.
  const next = await Promise.all([5, 6, 7].map((n) => proxy.request(`/items/${n}`).seen));
  expect(next.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect([first!.isEjected, second!.isEjected]).toEqual([true, false]);
});

test('what may have had an effect is not asked twice: a POST is answered 502', async () => {
  let effects = 0;
  const dying = () =>
    startHttp((request, response) => {
      effects++;
      if (request.url === '/begun') response.writeEarlyHints({ link: '</a>; rel=preload' });
      setImmediate(() => request.socket.destroy());
    });
  await using a = await dying();
  await using b = await dying();
  await using proxy = await startProxy([a.url, b.url]);
  expect((await proxy.request({ ':path': '/', ':method': 'POST' }).seen).status).toBe(502);
  expect(effects).toBe(1);
  expect((await proxy.request('/').seen).status, 'a GET, of two that both die').toBe(502);
  expect(effects).toBe(3);
  expect((await proxy.request('/begun').seen).status, 'a GET that was being answered').toBe(502);
  expect(effects).toBe(4);
  const put = proxy.request({ ':path': '/', ':method': 'PUT' }, 'content');
  expect((await put.seen).status, 'a PUT: its content has been read').toBe(502);
  expect(effects).toBe(5);
});

test('a backend that cannot be reached is left out, and comes back when it answers', async () => {
  const gone = await startBackend();
  await using other = await startBackend();
  await using proxy = await startProxy([gone.url, other.url], { upstream: { ejectMs: 50 } });
  await gone.close();
  for (let n = 0; n < 6; n++) expect((await proxy.request(`/items/${n}`).seen).status).toBe(200);
  const [first] = proxy.proxy.upstream.backends;
  expect(first!.isEjected).toBe(true);
  expect(await proxy.metric('proxy_upstream_ejected')).toBe(1);
  await using back = await startBackend({ port: Number(new URL(gone.url).port) });
  await until('it is back', () => !first!.isEjected);
  await Promise.all([1, 2].map((n) => proxy.request(`/items/${n}`).seen));
  expect(back.stats.requests).toBeGreaterThan(1); // the probe, and one of the two
});

test('20 MB up and down; who does not read holds the other side up, and not our memory', async () => {
  const bytes = 20_000_000;
  await using backend = await startBackend();
  await using proxy = await startProxy([backend.url]);
  const up = await proxy.request({ ':path': '/upload', ':method': 'POST' }, Buffer.alloc(bytes)).seen;
  expect(JSON.parse(up.body).bytes).toBe(bytes);
  const down = await proxy.request(`/download?bytes=${bytes}`).seen;
  expect([down.body.length, down.headers['content-length']]).toEqual([bytes, String(bytes)]);
});

test('who does not read holds up whoever sends to him, and not our memory', async () => {
  const bytes = 40_000_000;
  let taken = 0;
  await using backend = await startHttp((request, response) => {
    if (request.method === 'POST') return; // and reads nothing of it
    if (request.url === '/small') return response.end();
    const chunk = Buffer.alloc(65_536);
    const send = () => {
      for (let goesOn = true; goesOn && taken < bytes; taken += chunk.length) goesOn = response.write(chunk);
    };
    response.on('drain', send);
    send();
  });
  await using proxy = await startProxy([backend.url]);
  const download = proxy.session.request({ ':path': '/' }); // nobody listens to its data
  await once(download, 'response');
  let sent = 0;
  const upload = proxy.request({ ':path': '/', ':method': 'POST' }, OPEN);
  const chunk = Buffer.alloc(65_536);
  const send = () => {
    for (let goesOn = true; goesOn && sent < bytes; sent += chunk.length) goesOn = upload.stream.write(chunk);
  };
  upload.stream.on('drain', send);
  send();
  // What was sent is what buffers hold, and does not become more while others are served on the same connection.
  let before = '';
  await until('both stand still', async () => {
    const now = `${taken} ${sent}`;
    for (let n = 0; n < 20; n++) expect((await proxy.request('/small').seen).status).toBe(200);
    const isStill = now === before;
    before = now;
    return isStill;
  });
  expect(taken).toBeLessThan(bytes / 2);
  expect(sent).toBeLessThan(bytes / 2);
});

test('the head of an answer passes before there is a body, to clients of both versions', async () => {
  const { promise: asked, resolve: seeHead } = Promise.withResolvers<void>();
  await using backend = await startHttp(async (_request, response) => {
    response.flushHeaders();
    await asked;
    response.end('body');
  });
  await using proxy = await startProxy([backend.url]);
  const { stream, seen } = proxy.request('/');
  await once(stream, 'response');
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  get(proxy.url, { ca: certificate.cert, agent: false }, resolve);
  const response = await promise;
  seeHead();
  expect(await text(response)).toBe('body');
  expect(await seen).toMatchObject({ status: 200, body: 'body' });
});

test('what comes before, behind and without a body', async () => {
  await using backend = await startHttp((request, response) => {
    const { pathname } = new URL(request.url!, 'http://backend');
    if (pathname === '/hints') response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style', 'x-hint': '1' });
    if (pathname === '/checksum') {
      response.writeHead(200, { Trailer: 'Digest' }).write('content');
      response.addTrailers({ Digest: 'sha-256=abc', Connection: 'close' });
      return response.end();
    }
    if (pathname === '/204') return response.writeHead(204).end();
    if (pathname === '/304') return response.writeHead(304, { ETag: '"1"', 'Content-Length': '7' }).end();
    response.setHeader('Content-Length', '7').end('content');
  });
  await using proxy = await startProxy([backend.url]);
  const ask = (path: string, method = 'GET') => proxy.request({ ':path': path, ':method': method }).seen;
  const [hints, checksum, head, empty, unchanged] = await Promise.all([
    ask('/hints'),
    ask('/checksum'),
    ask('/', 'HEAD'),
    ask('/204'),
    ask('/304'),
  ]);
  expect(hints.hints).toMatchObject([{ ':status': 103, link: '</style.css>; rel=preload; as=style', 'x-hint': '1' }]);
  expect(hints).toMatchObject({ status: 200, body: 'content', code: 0 });
  expect(checksum).toMatchObject({ body: 'content', trailers: { digest: 'sha-256=abc' } });
  expect(checksum.trailers).not.toHaveProperty('connection');
  expect(head).toMatchObject({ status: 200, headers: { 'content-length': '7' }, body: '', code: 0 });
  expect(empty).toMatchObject({ status: 204, body: '', code: 0 });
  expect(unchanged).toMatchObject({ status: 304, headers: { etag: '"1"', 'content-length': '7' }, body: '', code: 0 });
});

test('a client that asks before it sends is told to go on when a backend is there to take it', async () => {
  await using backend = await startBackend({ tickMs: 10_000 });
  await using proxy = await startProxy([backend.url], { upstream: { connections: 1, queueMs: 200 } });
  const upload = { ':path': '/upload', ':method': 'POST', expect: '100-continue' };
  const asked = proxy.request(upload, OPEN);
  await once(asked.stream, 'continue');
  asked.stream.end('hello');
  expect(JSON.parse((await asked.seen).body).bytes).toBe(5);
  const events = proxy.request('/events');
  await once(events.stream, 'data');
  const refused = proxy.request(upload, OPEN);
  refused.stream.once('continue', () => expect.unreachable());
  expect((await refused.seen).status).toBe(503);
});

test('an answer that does not wait for the whole request ends it, without an error', async () => {
  await using backend = await startHttp((_request, response) => response.writeHead(413).end('too much'));
  await using proxy = await startProxy([backend.url]);
  const upload = proxy.request({ ':path': '/', ':method': 'POST' }, OPEN);
  upload.stream.write(Buffer.alloc(10_000));
  expect(await upload.seen).toMatchObject({ status: 413, body: 'too much', code: 0 });
});

test('a client that stops in the middle of its request is given up, and the backend does not wait for it', async () => {
  await using backend = await startBackend();
  await using proxy = await startProxy([backend.url], { silenceMs: 200 });
  const upload = proxy.request({ ':path': '/upload', ':method': 'POST' }, OPEN);
  upload.stream.write('some');
  expect((await upload.seen).code).not.toBe(0);
  await until('aborted', () => backend.stats.aborted === 1);
});

test('HTTP/1.1 in front is served as well', async () => {
  await using backend = await startBackend();
  await using proxy = await startProxy([backend.url]);
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  get(`${proxy.url}/items/7`, { ca: certificate.cert, agent: false }, resolve);
  const response = await promise;
  expect([response.statusCode, response.headers.via]).toEqual([200, '1.1 patterns']);
  expect(JSON.parse(await text(response)).id).toBe(7);
});

test('at shutdown what is open is answered, and what comes then is refused', async () => {
  await using _leaks = noLeaks();
  const { promise: answering, resolve: answer } = Promise.withResolvers<void>();
  await using backend = await startHttp(async (_request, response) => {
    await answering;
    response.end('late');
  });
  await using proxy = await startProxy([backend.url]);
  const open = proxy.request('/');
  await until('it is asked', () => proxy.proxy.upstream.backends[0]!.sockets === 1);
  const goaway = once(proxy.session, 'goaway');
  const closed = proxy.proxy.close();
  await goaway;
  answer();
  expect(await open.seen).toMatchObject({ status: 200, body: 'late', code: 0 });
  await closed;
  await expect(once(openSession(proxy.url).session, 'connect')).rejects.toThrow('ECONNREFUSED');
  expect(proxy.proxy.upstream.backends[0]!.sockets).toBe(0);
});
