/** Reading HTTP off the wire: real messages through a real proxy, and the same bytes however TCP may cut them. */
import { createServer, type RequestListener } from 'node:http';
import { expect, test } from 'vitest';
import { listen } from '../listen.ts';
import { Story } from '../story.ts';
import { startFaultProxy } from '../testing/fault-proxy.ts';
import { until } from '../testing/until.ts';
import { httpWire, type WireOptions } from '../wire.ts';

/** Writes down what is told, instead of printing it. */
class Notes extends Story {
  readonly lines: string[] = [];
  override wire(from: string, to: string, text: string): void {
    this.lines.push(`${from} > ${to}: ${text}`);
  }
}

function read(
  messages: { up?: string; down?: string },
  options: Partial<WireOptions> = {},
  bytesAtOnce = Number.MAX_VALUE,
) {
  const story = new Notes(['client', 'server']);
  const wire = httpWire({ story, client: 'client', server: 'server', ...options });
  for (const direction of ['up', 'down'] as const) {
    const bytes = Buffer.from((messages[direction] ?? '').replaceAll('\n', '\r\n'));
    for (let at = 0; at < bytes.length; at += bytesAtOnce) {
      wire.onData(bytes.subarray(at, at + bytesAtOnce), { direction, connection: 1 });
    }
  }
  return { told: story.lines, requests: wire.requests };
}

const KEEP_ALIVE = {
  up: `POST /orders HTTP/1.1
Host: test
Content-Length: 17

{"dish":"crêpe"}GET /orders/1 HTTP/1.1
Host: test

`,
  down: `HTTP/1.1 100 Continue

HTTP/1.1 201 Created
Location: /orders/1
Content-Length: 8

{"id":1}HTTP/1.1 200 OK
Transfer-Encoding: chunked

8
{"id":1}
0

HTTP/1.1 204 No Content

HTTP/1.1 304 Not Modified
ETag: "1"
Content-Length: 100

HTTP/1.1 200 OK
Content-Length: 0

HTTP/1.1 200 OK
Content-Length: 2

42`,
};

for (const bytesAtOnce of [1_000, 7, 1]) {
  test(`messages one after the other on a connection, ${bytesAtOnce} bytes at once`, () => {
    const { told, requests } = read(KEEP_ALIVE, { headers: ['location', 'etag'] }, bytesAtOnce);
    expect(told).toEqual([
      'client > server: POST /orders',
      'client > server: {"dish":"crêpe"}',
      'client > server: GET /orders/1',
      'server > client: 100 Continue',
      'server > client: 201 Created  Location: /orders/1',
      'server > client: {"id":1}',
      'server > client: 200 OK',
      'server > client: {"id":1}',
      'server > client: 204 No Content',
      'server > client: 304 Not Modified  ETag: "1"',
      'server > client: 200 OK',
      'server > client: 200 OK',
      'server > client: 42',
    ]);
    expect(requests).toBe(2);
  });
}

test('a stream is told line by line, as it comes', () => {
  const chunk = (data: string) => `${Buffer.byteLength(data.replaceAll('\n', '\r\n')).toString(16)}\n${data}\n`;
  const head = 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n';
  const down = head + chunk('id: 1\ndata: one\n\n') + chunk('data: two\n\n');
  expect(read({ down }).told.slice(1)).toEqual([
    'server > client: id: 1',
    'server > client: data: one',
    'server > client: data: two',
  ]);
});

test('a body without a length lasts till the connection ends', () => {
  const down = 'HTTP/1.1 200 OK\nConnection: close\n\nHTTP/1.1 is what\nthis text is about\n';
  expect(read({ down }).told.slice(1)).toEqual([
    'server > client: HTTP/1.1 is what',
    'server > client: this text is about',
  ]);
});

test('a long line is shortened to fit a terminal', () => {
  const body = 'x'.repeat(100);
  const { told } = read({ down: `HTTP/1.1 200 OK\nContent-Length: 100\n\n${body}` });
  expect(told[1]).toBe(`server > client: ${'x'.repeat(71)}…`);
});

test('the demo says what is shown of a body', () => {
  const body = (line: string, direction: string) => (line.includes('secret') ? undefined : `${direction} ${line}`);
  const down = 'HTTP/1.1 200 OK\nContent-Length: 15\n\nsecret\n\nshown';
  expect(read({ down }, { body }).told).toEqual(['server > client: 200 OK', 'server > client: down shown']);
});

test('a connection belongs to the server that it was opened to', () => {
  const story = new Notes(['client', 'server A']);
  let serving = 'server A';
  const wire = httpWire({ story, client: 'client', server: () => serving });
  wire.onData(Buffer.from('GET / HTTP/1.1\r\n\r\n'), { direction: 'up', connection: 1 });
  serving = 'server B';
  wire.onData(Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'), { direction: 'down', connection: 1 });
  wire.onData(Buffer.from('GET / HTTP/1.1\r\n\r\n'), { direction: 'up', connection: 2 });
  expect(story.lines).toEqual([
    'client > server A: GET /',
    'server A > client: 204 No Content',
    'client > server B: GET /',
  ]);
});

test('what fetch and a server say through a proxy', async () => {
  const answer: RequestListener = (request, response) => {
    if (request.url === '/stream') response.write('data: 1\n\n', () => response.end('data: 2\n\n'));
    else request.pipe(response);
  };
  await using server = await listen(createServer(answer));
  const story = new Notes(['client', 'server']);
  const wire = httpWire({ story, client: 'client', server: 'server', headers: ['content-length'] });
  await using proxy = await startFaultProxy(server.url, wire);
  for (const body of ['{"dish":"crêpe"}', 'cafe']) {
    const response = await fetch(`${proxy.url}/echo`, { method: 'POST', body });
    expect(await response.text()).toBe(body);
  }
  await (await fetch(`${proxy.url}/stream`)).text();
  await until('the last line', () => story.lines.at(-1)?.endsWith('data: 2'));
  expect(story.lines).toEqual([
    'client > server: POST /echo  content-length: 17',
    'client > server: {"dish":"crêpe"}',
    'server > client: 200 OK',
    'server > client: {"dish":"crêpe"}',
    'client > server: POST /echo  content-length: 4',
    'client > server: cafe',
    'server > client: 200 OK',
    'server > client: cafe',
    'client > server: GET /stream',
    'server > client: 200 OK',
    'server > client: data: 1',
    'server > client: data: 2',
  ]);
  expect(wire.requests).toBe(3);
});
