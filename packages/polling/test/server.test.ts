import { MemoryFeed } from '@patterns/feed/memory-feed';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { expect, test } from 'vitest';
import { type Change, UPDATES_PATH } from '../protocol.ts';
import { change, startDesk } from './desk.ts';

test('without a cursor: the place from which to go on, and nothing of the past', async () => {
  await using _leaks = noLeaks();
  await using desk = await startDesk();
  const { id } = await desk.feed.append('7', change(1));
  const { body } = await desk.updates('');
  expect(body).toEqual({ hasNew: false, events: [], cursor: id, hasMore: false });
});

test('with a cursor: what came after it; then 304 until there is more', async () => {
  await using desk = await startDesk({ intervalS: 2 });
  const first = await desk.feed.append('7', change(1));
  const { id, at } = await desk.feed.append('8', change(2));
  const { response, body } = await desk.updates(`after=${first.id}`);
  expect(body).toEqual({
    hasNew: true,
    events: [{ id, order: '8', status: 'preparing', version: 2, at }],
    cursor: id,
    hasMore: false,
  });
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'cache-control': 'private, no-cache',
    'retry-after': '2',
  });
  const ask = () => desk.get(`${UPDATES_PATH}?after=${id}`, { 'If-None-Match': response.headers.get('ETag')! });
  expect((await ask()).status).toBe(304);
  await desk.feed.append('7', change(2));
  expect((await ask()).status).toBe(200);
});

test('a big difference comes in pages, and each says whether there is more', async () => {
  await using desk = await startDesk();
  const sent: string[] = [];
  for (let n = 0; n < 25; n++) sent.push((await desk.feed.append('7', change(n))).id);
  const received: string[] = [];
  const more: unknown[] = [];
  for (let cursor = '0-0'; more.at(-1) !== false; ) {
    const { body } = await desk.updates(`after=${cursor}&limit=10`);
    received.push(...body.events.map(({ id }) => id));
    more.push(body.hasMore);
    cursor = body.cursor;
  }
  expect(received).toEqual(sent);
  expect(more).toEqual([true, true, false]);
});

test('a page that has more behind it is another answer than the same page without', async () => {
  await using desk = await startDesk();
  const { id } = await desk.feed.append('7', change(1));
  const last = await desk.updates('after=0-0&limit=1');
  await desk.feed.append('7', change(2));
  const again = await desk.get(`${UPDATES_PATH}?after=0-0&limit=1`, {
    'If-None-Match': last.response.headers.get('ETag')!,
  });
  expect(await again.json()).toMatchObject({ cursor: id, hasMore: true });
});

test.each([
  ['after', 'after=1-0&after=2-0'],
  ['limit', 'limit=0'],
  ['limit', 'limit=1001'],
  ['limit', 'limit=ten'],
])('a malformed parameter %s is 400, and named: ?%s', async (field, query) => {
  await using desk = await startDesk();
  const { response, body } = await desk.updates(query);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(body).toMatchObject({ status: 400, errors: [{ field }] });
});

test('an expired cursor is 410, says what to do, and is not to be kept by a cache', async () => {
  await using feed = new MemoryFeed<Change>({ retain: 5 });
  const { id } = await feed.append('7', change(1));
  for (let n = 2; n < 20; n++) await feed.append('7', change(n));
  await using desk = await startDesk({ feed });
  const { response, body } = await desk.updates(`after=${id}`);
  expect(response.headers.get('Cache-Control')).toBe('no-store');
  expect(body).toMatchObject({ status: 410, detail: expect.stringContaining('without ?after=') });
  expect(await desk.metric('polling_polls_total{result="expired"}')).toBe(1);
});

test('another server on the same feed knows the tag, and one that starts later knows the orders', async () => {
  await using desk = await startDesk();
  const { id } = await desk.feed.append('7', change(1));
  const { response } = await desk.updates('');
  await using other = await startDesk({ feed: desk.feed });
  const headers = { 'If-None-Match': response.headers.get('ETag')! };
  expect((await other.get(`${UPDATES_PATH}?after=${id}`, headers)).status).toBe(304);
  expect(await (await other.get('/orders/7')).json()).toMatchObject({ id: '7', status: 'placed', version: 1 });
});

test('an order: its tag is its version, and one that is over asks for no more polls', async () => {
  await using desk = await startDesk({ intervalS: 3 });
  await desk.feed.append('7', change(4));
  const open = await desk.get('/orders/7');
  expect(Object.fromEntries(open.headers)).toMatchObject({ etag: '"4.3"', 'retry-after': '3' });
  expect((await desk.get('/orders/7', { 'If-None-Match': '"4.3"' })).status).toBe(304);
  await desk.feed.append('7', change(5));
  const over = await desk.get('/orders/7', { 'If-None-Match': '"4.3"' });
  expect(await over.json()).toMatchObject({ status: 'delivered', version: 5 });
  expect(over.headers.has('Retry-After')).toBe(false);
});

test('an order that is not there yet is 404, which no cache may keep', async () => {
  await using desk = await startDesk();
  const missing = await desk.get('/orders/7');
  expect([missing.status, missing.headers.get('Cache-Control')]).toEqual([404, 'no-store']);
});

test('other methods are 405', async () => {
  await using desk = await startDesk();
  const answer = await fetch(`${desk.url}${UPDATES_PATH}`, { method: 'POST' });
  expect([answer.status, answer.headers.get('Allow')]).toEqual([405, 'GET, HEAD']);
});
