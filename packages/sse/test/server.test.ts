import { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test, vi } from 'vitest';
import { PATH } from '../protocol.ts';
import { openStream, price, startTicker } from './ticker.ts';

test('answers at once, before there is any event, with headers that keep proxies from buffering', async () => {
  await using _leaks = noLeaks();
  await using ticker = await startTicker({ retryMs: 2_000 });
  await using stream = await openStream(ticker.url);
  expect(stream.response.status).toBe(200);
  expect(Object.fromEntries(stream.response.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  });
  const [, retryMs] = /^retry: (\d+)$/.exec(await stream.blocks.next())!;
  expect(Number(retryMs)).toBeGreaterThanOrEqual(1_000);
  expect(Number(retryMs)).toBeLessThanOrEqual(3_000);
});

test('spreads the reconnects: not every client is told the same delay', async () => {
  await using ticker = await startTicker();
  const told = new Set<string>();
  for (let i = 0; i < 10; i++) {
    await using stream = await openStream(ticker.url);
    told.add(await stream.blocks.next());
  }
  expect(told.size).toBeGreaterThan(1);
});

test('resumes after the last event seen, without gap or repetition, while events go on', async () => {
  await using ticker = await startTicker();
  const ids: string[] = [];
  for (let n = 0; n < 50; n++) ids.push((await ticker.feed.append('ACME', price(n))).id);
  const opening = openStream(ticker.url, { headers: { 'Last-Event-ID': ids[9]! } });
  for (let n = 50; n < 100; n++) ids.push((await ticker.feed.append('ACME', price(n))).id);
  await using stream = await opening;
  const blocks = (await stream.blocks.take(91)).slice(1);
  expect(blocks.map((block) => /^id: (.*)/.exec(block)?.[1])).toEqual(ids.slice(10));
});

test('resumes by ?after= as well; the header wins', async () => {
  await using ticker = await startTicker();
  const [first, second] = [await ticker.feed.append('ACME', price(1)), await ticker.feed.append('ACME', price(2))];
  await using byQuery = await openStream(ticker.url, { query: '?after=0-0' });
  expect((await byQuery.blocks.take(2))[1]).toContain(`id: ${first.id}`);
  await using byBoth = await openStream(ticker.url, { query: '?after=0-0', headers: { 'Last-Event-ID': first.id } });
  expect((await byBoth.blocks.take(2))[1]).toContain(`id: ${second.id}`);
});

test('a malformed cursor is 400, and names the field', async () => {
  await using ticker = await startTicker();
  for (const [field, path, headers] of [
    ['Last-Event-ID', PATH, { 'Last-Event-ID': 'yesterday' }],
    ['after', `${PATH}?after=yesterday`, {}],
  ] as const) {
    const response = await fetch(`${ticker.url}${path}`, { headers });
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({ status: 400, errors: [{ field }] });
  }
});

test('an expired cursor gets a reset event, and then everything that is left', async () => {
  await using ticker = await startTicker({ retain: 10 });
  const first = await ticker.feed.append('ACME', price(0));
  for (let n = 1; n <= 30; n++) await ticker.feed.append('ACME', price(n));
  await using stream = await openStream(ticker.url, { headers: { 'Last-Event-ID': first.id } });
  const [, reset, ...rest] = await stream.blocks.take(12);
  expect(reset).toMatch(/^id: \nevent: reset\ndata: /);
  expect(rest.map((block) => /"n":(\d+)/.exec(block)?.[1])).toEqual(
    Array.from({ length: 10 }, (_, i) => String(21 + i)),
  );
});

test('204 for a client that has seen the market close: it stops asking', async () => {
  await using ticker = await startTicker();
  const before = await ticker.feed.append('ACME', price(1));
  const last = await ticker.feed.append('market', { type: 'closed' });
  await until('the server knows', async () => (await fetch(`${ticker.url}${PATH}`)).status === 204);
  await using behind = await openStream(ticker.url, { headers: { 'Last-Event-ID': before.id } });
  expect((await behind.blocks.take(2))[1]).toContain('event: closed');
  await expect(behind.blocks.next()).rejects.toThrow('ended'); // the server ends it, so that nobody waits for more
  const request = { headers: { 'Last-Event-ID': last.id } };
  expect((await fetch(`${ticker.url}${PATH}`, request)).status).toBe(204);
  await using startedLater = await startTicker({ feed: ticker.feed });
  expect((await fetch(`${startedLater.url}${PATH}`, request)).status, 'of a server that was not there').toBe(204);
});

test('says something even when there is nothing to say', async () => {
  await using ticker = await startTicker({ heartbeatMs: 10 });
  await using stream = await openStream(ticker.url);
  expect((await stream.blocks.take(3)).slice(1)).toEqual([':', ':']);
});

test('events of one pass of the event loop leave in one write', async () => {
  await using ticker = await startTicker();
  await using stream = await openStream(ticker.url);
  await stream.blocks.next();
  await until('it follows', () => ticker.feed.followers === 2); // the stream, and the server's own watch of the market
  using writes = vi.spyOn(ServerResponse.prototype, 'write');
  await Promise.all(Array.from({ length: 100 }, (_, n) => ticker.feed.append('ACME', price(n))));
  await stream.blocks.take(100);
  expect(writes).toHaveBeenCalledTimes(1);
});

test('the end of the connection is the end of the body: no frames around the events', async () => {
  await using ticker = await startTicker();
  await using socket = rawRequest(ticker.url);
  await until('the stream is open', () => socket.text().includes('retry: '));
  expect(socket.text()).toMatch(/^Connection: close\r$/m);
  expect(socket.text()).toMatch(/\r\n\r\nretry: \d+\n\n$/);
});

test('a reader that does not read is cut off at its bound; the others miss nothing', async () => {
  await using ticker = await startTicker({ maxPending: 100 });
  await using stalled = rawRequest(ticker.url);
  await until('the stream is open', () => stalled.text().includes('retry: '));
  stalled.socket.pause();
  await using other = await openStream(ticker.url);
  await until('both follow', () => ticker.feed.followers === 3);
  const bulky = { ...price(0), padding: 'x'.repeat(10_000) };
  let sent = 0;
  for (; (await ticker.metric('sse_cut_off_total')) === 0; sent++) {
    await ticker.feed.append('ACME', bulky);
    expect(sent).toBeLessThan(5_000); // kernel buffers hold megabytes, not more
  }
  expect(await ticker.metric('sse_open_streams')).toBe(1);
  expect((await other.blocks.take(sent + 1)).slice(1)).toHaveLength(sent);
});

test('a reader that falls behind again and again leaves nothing behind each time', async () => {
  await using ticker = await startTicker();
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => warnings.push(message);
  process.on('warning', onWarning);
  const { hostname, port } = new URL(ticker.url);
  const socket = connect(Number(port), hostname, () => socket.write(`GET ${PATH} HTTP/1.1\r\nHost: test\r\n\r\n`));
  let tail = '';
  socket.on('data', (data) => {
    tail = (tail + data.toString()).slice(-1_000);
  });
  await until('the stream', () => tail.includes('retry: '));
  const big = { ...price(0), padding: 'x'.repeat(8_000_000) }; // more than kernel and response take
  // Node warns when an emitter has more than ten listeners for one event.
  for (let n = 1; n <= 11; n++) {
    socket.pause();
    await ticker.feed.append('ACME', big);
    await until('the socket is full', async () => (await ticker.metric('sse_buffered_bytes')) > 0);
    await ticker.feed.append('ACME', price(n));
    socket.resume();
    await until(`price ${n}`, () => tail.includes(`"n":${n},`));
  }
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
  socket.destroy();
});

test('beyond its limit of streams it refuses with 503 and Retry-After', async () => {
  await using ticker = await startTicker({ maxStreams: 1 });
  await using _first = await openStream(ticker.url);
  const refused = await fetch(`${ticker.url}${PATH}`);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
  await refused.body?.cancel();
});

test('a client that leaves frees its follower and its place', async () => {
  await using _leaks = noLeaks();
  await using ticker = await startTicker();
  {
    await using _stream = await openStream(ticker.url);
    expect(await ticker.metric('sse_open_streams')).toBe(1);
  }
  await until('the server has noticed', async () => (await ticker.metric('sse_open_streams')) === 0);
  expect(ticker.feed.followers).toBe(1); // the server's own
});

test('at shutdown every stream gets a hint when to come back, and ends', async () => {
  await using ticker = await startTicker();
  await using stream = await openStream(ticker.url);
  await stream.blocks.next();
  await ticker.server.close();
  expect(await stream.blocks.next()).toMatch(/^retry: \d+$/);
  await expect(stream.blocks.next()).rejects.toThrow('ended');
});

test('HEAD ends, and another method is 405 with Allow', async () => {
  await using ticker = await startTicker();
  const head = await fetch(`${ticker.url}${PATH}`, { method: 'HEAD' });
  expect(head.headers.get('content-type')).toContain('text/event-stream');
  const post = await fetch(`${ticker.url}${PATH}`, { method: 'POST' });
  expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  await post.body?.cancel();
});

/** A client of which the test controls the socket. */
function rawRequest(url: string) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  let received = '';
  socket.on('data', (chunk) => (received += chunk.toString()));
  socket.on('error', () => {}); // a cut-off shows as a reset
  socket.write(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return {
    socket,
    text: () => received,
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}
