import { MemoryFeed } from '@patterns/feed/memory-feed';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test, vi } from 'vitest';
import { followOrder, subscribe } from '../client.ts';
import type { Change } from '../protocol.ts';
import { change, startDesk } from './desk.ts';
import { nothing, order, startScripted, status } from './scripted.ts';

const FAST = { minMs: 10, maxMs: 50 };

/** Polls in the background until the test ends. */
function polling(url: string, options: object = {}) {
  return EventQueue.from((signal) => subscribe(url, { ...FAST, ...options, signal }));
}

test('asks one question at a time, however slow the server is', async () => {
  await using _leaks = noLeaks();
  await using server = await startScripted([
    (response) => setTimeout(() => nothing()(response, response.req), 300), // thirty of its intervals
  ]);
  await using _client = polling(server.url);
  await server.asked.take(4);
  expect(server.counts.mostInFlight).toBe(1);
});

test('does not ask at once: the first poll is at random too', async () => {
  using _random = vi.spyOn(Math, 'random').mockReturnValue(0.9);
  await using server = await startScripted([nothing()]);
  const startedAt = performance.now();
  await using _client = polling(server.url, { minMs: 500 });
  expect((await server.asked.next()).at - startedAt).toBeGreaterThan(440);
});

test('gives up a question that is not answered within the deadline, and asks again', async () => {
  await using server = await startScripted([() => {}, nothing()]);
  await using _client = polling(server.url, { deadlineMs: 200 });
  await server.asked.take(3);
  await until('the first question is gone', () => server.counts.inFlight <= 1);
});

test('sends back the tag, and its cursor', async () => {
  await using server = await startScripted([nothing({ ETag: '"1-0.0"' }), status(304)]);
  await using _client = polling(server.url);
  const [first, second, third] = await server.asked.take(3);
  expect([first!.etag, second!.etag, third!.etag]).toEqual([undefined, '"1-0.0"', '"1-0.0"']);
  expect(third!.url).toContain('after=1-0');
});

// Each bound is one that only a fault comes below: noise makes a wait longer.
test.each([
  ['in seconds, when the server is overloaded', status(503, { 'Retry-After': '1' })],
  ['in seconds, when it has asked too often', status(429, { 'Retry-After': '1' })],
  ['in seconds, when there is no answer yet', status(202, { 'Retry-After': '1' })],
  [
    'as a date, by a clock that is an hour slow',
    status(503, {
      Date: new Date(1_800_000_000_000).toUTCString(),
      'Retry-After': new Date(1_800_000_001_000).toUTCString(),
    }),
  ],
  ['as the interval, with an answer', nothing({ 'Retry-After': '1' })],
])('honours Retry-After %s', async (_form, reply) => {
  await using server = await startScripted([reply, nothing()]);
  await using _client = polling(server.url);
  const [first, second] = await server.asked.take(2);
  expect(second!.at - first!.at).toBeGreaterThanOrEqual(990);
});

test('an interval that was asked for holds as long as 304 says that nothing is new', async () => {
  await using server = await startScripted([nothing({ ETag: '"a"', 'Retry-After': '1' }), status(304)]);
  await using _client = polling(server.url);
  const [, second, third] = await server.asked.take(3);
  expect(third!.at - second!.at).toBeGreaterThanOrEqual(990);
});

test('reads every body, also of a refusal: all polls go over one connection', async () => {
  const page = 'x'.repeat(100_000);
  await using server = await startScripted([status(503, {}, page), status(500, {}, page), nothing()]);
  await using _client = polling(server.url);
  await server.asked.take(5);
  expect(server.counts.connections).toBe(1);
});

test('news keeps the interval short', async () => {
  await using desk = await startDesk();
  const { id } = await desk.feed.append('7', change(0));
  await using client = polling(desk.url, { after: id, minMs: 20, maxMs: 60_000 });
  // Had each poll made the interval longer, the thirtieth would be an hour away.
  for (let n = 1; n <= 30; n++) {
    const appended = await desk.feed.append('7', change(n));
    expect((await client.next()).id).toBe(appended.id);
  }
});

test('asks at once for the next page', async () => {
  await using desk = await startDesk();
  for (let n = 0; n < 20; n++) await desk.feed.append('7', change(n));
  await using client = polling(desk.url, { after: '0-0', limit: 1, minMs: 1_500 });
  expect(await client.take(20)).toHaveLength(20);
});

test('an expired cursor is an error; with onExpired it is told, and goes on from now', async () => {
  await using feed = new MemoryFeed<Change>({ retain: 5 });
  const { id } = await feed.append('7', change(1));
  for (let n = 2; n < 20; n++) await feed.append('7', change(n));
  await using desk = await startDesk({ feed });
  await using unaware = polling(desk.url, { after: id });
  await expect(unaware.next()).rejects.toMatchObject({ code: 'cursor-expired' });

  const told = new EventQueue<string>();
  await using aware = polling(desk.url, { after: id, onExpired: (message: string) => told.push(message) });
  expect(await told.next()).toContain('no longer kept');
  // What happens from the moment it was told on is not lost.
  const next = await feed.append('7', change(20));
  expect((await aware.next()).id).toBe(next.id);
});

test('follows an order until it is over, and then asks no more', async () => {
  await using server = await startScripted([order(1, 'placed'), status(304), order(2, 'ready'), order(3, 'cancelled')]);
  const seen = await Array.fromAsync(followOrder(server.url, '7', FAST), ({ version }) => version);
  expect(seen).toEqual([1, 2, 3]);
  expect(server.asked.items).toHaveLength(4);
});

test('shows no older state after a newer one, whatever it is answered', async () => {
  await using server = await startScripted([order(2, 'ready'), order(1, 'placed'), order(3, 'delivered')]);
  const seen = await Array.fromAsync(followOrder(server.url, '7', FAST), ({ version }) => version);
  expect(seen).toEqual([2, 3]);
});

test('an order that is not there is an error, and not asked for again', async () => {
  await using desk = await startDesk();
  await expect(followOrder(desk.url, '7', FAST).next()).rejects.toMatchObject({ code: 'refused' });
});

test('gives up after as many failures as it was told', async () => {
  await using server = await startScripted([status(500)]);
  await expect(followOrder(server.url, '7', { ...FAST, maxFailures: 3 }).next()).rejects.toMatchObject({
    code: 'unreachable',
  });
  expect(server.asked.items).toHaveLength(3);
});

test('an answer that is none is an error', async () => {
  await using server = await startScripted([status(200, {}, '<html>')]);
  await expect(subscribe(server.url, FAST).next()).rejects.toMatchObject({ code: 'malformed-answer' });
});
