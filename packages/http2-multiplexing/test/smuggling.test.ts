/**
 * Attacks on the border between two versions: what is one message in front must be one behind, or none [RFC 9113 §10.3,
 * RFC 9112 §11]. Client and backend are the attackers here, byte by byte.
 */
import { connect as connectTls } from 'node:tls';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { certificate, startHttp, startProxy, startTcp } from './proxy.ts';
import { CODE, FLAG, frame, headerBlock, openRaw, TYPE, uint32 } from './raw-http2.ts';

const SECOND = 'GET /admin HTTP/1.1\r\nHost: internal\r\n\r\n';

/** A backend that notes what it is asked, and a proxy before it with one connection: what is smuggled into it shows. */
async function startTarget() {
  const asked: string[] = [];
  const backend = await startHttp(async (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    let body = '';
    for await (const chunk of request) body += chunk;
    response.end(body);
  });
  const proxy = await startProxy([backend.url], { upstream: { connections: 1 } });
  return {
    asked,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await backend.close();
    },
  };
}

const ANSWERS: number[] = [TYPE.RST_STREAM, TYPE.HEADERS, TYPE.GOAWAY];
const HEADERS_ONLY = { flags: FLAG.END_HEADERS | FLAG.END_STREAM };

type Head = Parameters<typeof headerBlock>;
const head = (...of: Head) => frame(TYPE.HEADERS, 1, { ...HEADERS_ONLY, payload: headerBlock(...of) });
const withBody = (body: string, ...of: Head) => [
  frame(TYPE.HEADERS, 1, { flags: FLAG.END_HEADERS, payload: headerBlock(...of) }),
  frame(TYPE.DATA, 1, { flags: FLAG.END_STREAM, payload: Buffer.from(body) }),
];
const post = (fields: Record<string, string>): Head => ['/', { method: 'POST', fields }];
/** `:scheme` is `x`: nghttp2 looks at the path of http and https only. */
const ofOtherScheme = (path: string) => {
  const text = (value: string) => Buffer.from([value.length, ...Buffer.from(value)]);
  const literal = (index: number, value: string) => Buffer.concat([Buffer.from([index]), text(value)]);
  const payload = Buffer.concat([literal(2, 'GET'), literal(6, 'x'), literal(4, path), literal(1, 'localhost')]);
  return frame(TYPE.HEADERS, 1, { ...HEADERS_ONLY, payload });
};

test.each<[string, Buffer[]]>([
  ['H2.CL: content-length is 0, and a request follows', withBody(SECOND, ...post({ 'content-length': '0' }))],
  ['H2.CL: content-length is 5, and 10 bytes come', withBody('0123456789', ...post({ 'content-length': '5' }))],
  ['content-length is 10, and 5 bytes come', withBody('01234', ...post({ 'content-length': '10' }))],
  ['H2.TE: transfer-encoding', withBody(`0\r\n\r\n${SECOND}`, ...post({ 'transfer-encoding': 'chunked' }))],
  ['connection', [head('/', { fields: { connection: 'x-forwarded-for' } })]],
  ['CR LF in the path', [head(`/ HTTP/1.1\r\nHost: internal\r\n\r\n${SECOND}`)]],
  ['a space in the path', [head('/admin HTTP/1.1')]],
  ['a path in absolute form', [head('http://internal/admin')]],
  ['a path in absolute form, of another scheme', [ofOtherScheme('http://internal/admin')]],
  ['CR LF in a path of another scheme', [ofOtherScheme('x HTTP/1.1\r\n\r\nGET /admin')]],
  ['a space in the method', [head('/', { method: 'GET /admin HTTP/1.1\r\nx:' })]],
  ['a Host that is another than :authority', [head('/', { fields: { host: 'internal' } })]],
])('downgrade: %s is refused, and the backend hears nothing of it', async (_what, frames) => {
  await using target = await startTarget();
  using raw = await openRaw(target.proxy.url, certificate.cert);
  await raw.greet();
  raw.send(...frames);
  const answer = await until('an answer', () => raw.frames.find(({ type }) => ANSWERS.includes(type)));
  // A reset, or 400 of our own: in HPACK it is 0x8c [RFC 7541, appendix A]. For a length that does not hold, Node ends the session.
  if (answer.type === TYPE.RST_STREAM) expect(answer.payload.readUInt32BE(0)).toBe(CODE.PROTOCOL_ERROR);
  if (answer.type === TYPE.HEADERS) expect(answer.payload[0]).toBe(0x8c);
  // And the next request on the backend's connection is itself, and has its own answer.
  expect(await target.proxy.request({ ':path': '/next', ':method': 'POST' }, 'mine').seen).toMatchObject({
    body: 'mine',
  });
  const heard = target.asked.filter((line) => line !== 'POST /'); // whose body was then not what it said
  expect(heard).toEqual(['POST /next']);
});

test.each([
  ['CR LF in a value', { x: `a\r\n\r\n${SECOND}` }],
  ['LF alone in a value', { x: 'a\nTransfer-Encoding: chunked' }],
  ['NUL in a value', { x: 'a\0b' }],
  ['CR LF in a name', { 'x: a\r\ntransfer-encoding': 'chunked' }],
])(
  'downgrade: a field with %s is left behind: nghttp2 drops it, where the specification would have the request refused',
  async (_what, fields) => {
    const heard: string[] = [];
    await using backend = await startHttp((request, response) => {
      heard.push(`${request.method} ${request.url}`, ...request.rawHeaders);
      response.end();
    });
    await using proxy = await startProxy([backend.url]);
    using raw = await openRaw(proxy.url, certificate.cert);
    await raw.greet();
    raw.send(head('/', { fields }));
    await until('an answer', () => raw.frames.some(({ stream }) => stream === 1));
    expect(heard[0]).toBe('GET /');
    expect(heard.join('\n')).not.toMatch(/^x$|admin|chunked/m);
  },
);

test('a content that is longer than it says ends the connection to the backend: what follows is never read as a request', async () => {
  const read: string[] = [];
  let connections = 0;
  await using backend = await startTcp((socket) => {
    connections++;
    socket.on('data', (chunk) => read.push(chunk.toString()));
  });
  await using proxy = await startProxy([backend.url], { upstream: { connections: 1 } });
  using raw = await openRaw(proxy.url, certificate.cert);
  await raw.greet();
  const [asked, content] = withBody(`12345${SECOND}`, ...post({ 'content-length': '5' }));
  raw.send(asked!);
  await until('the backend is asked', () => connections === 1);
  raw.send(content!);
  await raw.ended();
  await until('hung up', () => backend.sockets.size === 0);
  expect(read.join('')).not.toContain('admin');
});

test.each([
  ['both framings', `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SECOND}`],
  ['two lengths', `Content-Length: 0\r\nContent-Length: ${SECOND.length}\r\n\r\n${SECOND}`],
  ['a coding behind chunked', `Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${SECOND}`],
  ['a coding that is not known', 'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['a space before the colon', `Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SECOND}`],
  ['a folded line', `X: a\r\n Transfer-Encoding: chunked\r\n\r\n${SECOND}`],
  ['two hosts', 'Host: internal\r\n\r\n'],
])('over HTTP/1.1: %s: refused, and the backend hears nothing of it', async (_what, rest) => {
  await using target = await startTarget();
  const { hostname, port } = new URL(target.proxy.url);
  const socket = connectTls({ host: hostname, port: Number(port), ca: certificate.cert, ALPNProtocols: ['http/1.1'] });
  let text = '';
  socket.on('data', (chunk) => (text += chunk));
  socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\n${rest}`);
  await until('an answer', () => text.includes('\r\n'));
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  socket.destroy();
  expect((await target.proxy.request('/next').seen).status).toBe(200);
  expect(target.asked).toEqual(['GET /next']);
});

test('Rapid Reset: the backends see no more connections than are allowed, none stays busy, and others are served', async () => {
  // The backend's work takes a while: a reset finds it in the middle.
  await using target = await startHttp((_request, response) => void setTimeout(() => response.end('ok'), 5));
  await using proxy = await startProxy([target.url], {
    upstream: { connections: 4 },
    limits: { streamResetBurst: 200, streamResetRate: 10 },
  });
  const [backend] = proxy.proxy.upstream.backends;
  let most = 0;
  const watching = setInterval(() => (most = Math.max(most, backend!.sockets, backend!.busy)), 0);
  using raw = await openRaw(proxy.url, certificate.cert);
  await raw.greet();
  const other = proxy.request('/');
  for (let n = 0; n < 20 && !raw.isClosed; n++) {
    const burst = Array.from({ length: 50 }, (_, i) => {
      const stream = (n * 50 + i) * 2 + 1;
      return [raw.get(stream, '/'), frame(TYPE.RST_STREAM, stream, { payload: uint32(CODE.CANCEL) })];
    });
    raw.send(...burst.flat());
    await proxy.request('/').seen;
  }
  expect(await raw.ended()).toBe(CODE.INTERNAL_ERROR); // Node's, where ENHANCE_YOUR_CALM would say more
  expect((await other.seen).status).toBe(200);
  expect((await proxy.request('/').seen).status).toBe(200);
  await until('none is busy', () => backend!.busy === 0 && proxy.proxy.upstream.queued === 0);
  clearInterval(watching);
  expect(most).toBeLessThanOrEqual(4);
  expect(most).toBeGreaterThan(0);
});

const ok = (rest: string) => `HTTP/1.1 200 OK\r\n${rest}`;

test.each([
  ['both framings', ok('Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\nok')],
  ['two lengths', ok('Content-Length: 2\r\nContent-Length: 20\r\n\r\nok')],
  ['CR in a value', ok('X: a\rSet-Cookie: admin=1\r\nContent-Length: 2\r\n\r\nok')],
  ['NUL in a value', ok('X: a\0b\r\nContent-Length: 2\r\n\r\nok')],
  ['a space in a name', ok('X Y: a\r\nContent-Length: 2\r\n\r\nok')],
  ['a status that is none', 'HTTP/1.1 999 Wild\r\nContent-Length: 2000\r\n\r\nok'],
  ['an upgrade that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
])('a backend that answers %s is answered for with 502, and hung up on', async (_what, answer) => {
  await using backend = await startTcp((socket) => socket.on('data', () => socket.write(answer)));
  await using proxy = await startProxy([backend.url]);
  const { status, headers } = await proxy.request({ ':path': '/', ':method': 'POST' }).seen;
  expect([status, headers['set-cookie']]).toEqual([502, undefined]);
  await until('its connection is closed', () => backend.sockets.size === 0);
});

test('a second answer that nobody asked for reaches nobody: the connection it came on is closed', async () => {
  let n = 0;
  await using backend = await startTcp((socket) =>
    socket.on('data', () => {
      const body = `mine ${++n}`;
      socket.write(`${ok(`Content-Length: ${body.length}\r\n\r\n${body}`)}${ok('Content-Length: 6\r\n\r\npoison')}`);
    }),
  );
  await using proxy = await startProxy([backend.url], { upstream: { connections: 1 } });
  for (const body of ['mine 1', 'mine 2', 'mine 3']) expect(await proxy.request('/').seen).toMatchObject({ body });
});

test('a server that sends too much of a head is 502, and not our memory', async () => {
  await using backend = await startTcp((socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const more = () => socket.write(`X: ${'x'.repeat(1_000)}\r\n`);
    for (let i = 0; i < 100; i++) more();
  });
  await using proxy = await startProxy([backend.url]);
  expect((await proxy.request({ ':path': '/', ':method': 'POST' }).seen).status).toBe(502);
});
