import { createServer } from 'node:http';
import type { FeedEvent } from '@patterns/feed/feed';
import { listen } from '@patterns/kit/listen';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { subscribe } from '../client.ts';
import { MARKET, type Quote, STREAM_HEADERS } from '../protocol.ts';
import { price, startTicker } from './ticker.ts';

const numbers = (queue: EventQueue<FeedEvent<Quote>>) => queue.items.map(({ data }) => (data as { n?: number }).n);

test('goes on after a cut line as if nothing had been', async () => {
  await using _leaks = noLeaks();
  await using ticker = await startTicker({ retryMs: 10 });
  await using proxy = await startFaultProxy(ticker.url);
  await using events = EventQueue.from((signal) => subscribe(proxy.url, { after: '0-0', signal }));
  for (let n = 0; n < 30; n++) {
    await ticker.feed.append('ACME', price(n));
    if (n % 10 === 5) {
      await events.find('an event before the cut', ({ data }) => (data as { n: number }).n === n);
      proxy.cut();
    }
  }
  await events.find('the last event', ({ data }) => (data as { n: number }).n === 29);
  expect(numbers(events)).toEqual(Array.from({ length: 30 }, (_, n) => n));
});

test('notices a line that has gone silent, and takes another', async () => {
  await using ticker = await startTicker({ retryMs: 10, heartbeatMs: 50 });
  await using proxy = await startFaultProxy(ticker.url);
  await using events = EventQueue.from((signal) => subscribe(proxy.url, { after: '0-0', signal, silenceMs: 500 }));
  await ticker.feed.append('ACME', price(1));
  await events.next();
  proxy.halfOpen('server'); // the client's side stays open, and nobody tells it
  await ticker.feed.append('ACME', price(2));
  await events.next();
  expect(numbers(events)).toEqual([1, 2]);
});

test('ends when the market is closed: 204 is for good', async () => {
  await using _leaks = noLeaks();
  await using ticker = await startTicker({ retryMs: 10 });
  await ticker.feed.append('ACME', price(1));
  await ticker.feed.append(MARKET, { type: 'closed' });
  const types: string[] = [];
  for await (const { data } of subscribe(ticker.url, { after: '0-0' })) types.push(data.type);
  expect(types).toEqual(['price', 'closed']);
});

test('gives up at once on a 4xx, and says why', async () => {
  await using ticker = await startTicker();
  const error = await subscribe(ticker.url, { after: 'yesterday' })
    .next()
    .catch((reason) => reason);
  expect(error).toMatchObject({ name: 'SseError', code: 'refused', message: expect.stringContaining('malformed') });
});

test('tells its user what an expired cursor has cost, and goes on', async () => {
  await using ticker = await startTicker({ retain: 5 });
  const first = await ticker.feed.append('ACME', price(0));
  for (let n = 1; n <= 20; n++) await ticker.feed.append('ACME', price(n));
  const resets: string[] = [];
  const onReset = (detail: string) => resets.push(detail);
  await using events = EventQueue.from((signal) => subscribe(ticker.url, { after: first.id, signal, onReset }));
  await events.take(5);
  expect(numbers(events)).toEqual([16, 17, 18, 19, 20]);
  expect(resets).toEqual([expect.stringContaining('expired')]);
});

test('comes back to a server that is full, when that server asks it to', { timeout: 1_900 }, async () => {
  // Its own first two delays would take two seconds or more.
  let asked = 0;
  await using server = await listen(
    createServer((_request, response) => {
      asked++;
      if (asked < 3) response.writeHead(503, { 'Retry-After': '0' }).end();
      else response.writeHead(204).end();
    }),
  );
  expect((await subscribe(server.url).next()).done).toBe(true);
  expect(asked).toBe(3);
});

test.each([
  ['another content type', { 'Content-Type': 'text/html' }, '<html>', 'not-a-stream'],
  ['an event that it cannot read', STREAM_HEADERS, 'event: price\ndata: {"price":"cheap"}\n\n', 'malformed-event'],
])('says so when it gets %s', async (_what, headers, body, code) => {
  await using server = await listen(createServer((_request, response) => response.writeHead(200, headers).end(body)));
  await expect(subscribe(server.url).next()).rejects.toMatchObject({ code });
});

test('reads a character that arrives in two pieces', async () => {
  const text = Buffer.from('id: 1-0\nevent: price\ndata: {"symbol":"Ä","price":1,"n":1,"at":1}\n\n');
  const half = text.indexOf('Ä') + 1;
  await using server = await listen(
    createServer((_request, response) => {
      response.writeHead(200, STREAM_HEADERS).write(text.subarray(0, half));
      setImmediate(() => response.end(text.subarray(half)));
    }),
  );
  const events = subscribe(server.url);
  expect((await events.next()).value).toMatchObject({ topic: 'Ä' });
  await events.return(undefined);
});

test('a caller that stops iterating hangs up', async () => {
  await using _leaks = noLeaks();
  await using ticker = await startTicker();
  await ticker.feed.append('ACME', price(1));
  for await (const _event of subscribe(ticker.url, { after: '0-0' })) break;
  await until('the server has noticed', async () => (await ticker.metric('sse_open_streams')) === 0);
});
