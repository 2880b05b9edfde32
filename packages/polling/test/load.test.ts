import { MemoryFeed } from '@patterns/feed/memory-feed';
import { until } from '@patterns/kit/testing/until';
import { expect, test, vi } from 'vitest';
import { type Change, UPDATES_PATH } from '../protocol.ts';
import { change, startDesk } from './desk.ts';

test('who is far behind is served from the feed', async () => {
  await using desk = await startDesk();
  const sent: string[] = [];
  for (let n = 0; n < 2_500; n++) sent.push((await desk.feed.append('7', change(n))).id);
  const { body } = await desk.updates(`after=${sent[9]}&limit=3`);
  expect(body.events.map(({ id }) => id)).toEqual(sent.slice(10, 13));
});

test('polls cost the feed nothing', async () => {
  await using desk = await startDesk();
  const { id } = await desk.feed.append('7', change(1));
  await desk.feed.append('7', change(2));
  using read = vi.spyOn(desk.feed, 'read');
  using position = vi.spyOn(desk.feed, 'position');
  for (let n = 0; n < 20; n++) await Promise.all([desk.updates(`after=${id}`), desk.updates('')]);
  expect(read).not.toHaveBeenCalled();
  expect(position).not.toHaveBeenCalled();
});

test('what is appended while a server begins is not missed', async () => {
  class BusyFeed extends MemoryFeed<Change> {
    override async follow(...args: Parameters<MemoryFeed<Change>['follow']>) {
      await this.append('7', change(1)); // the past has been read, and the following has not begun
      return super.follow(...args);
    }
  }
  await using feed = new BusyFeed();
  await using desk = await startDesk({ feed });
  await until('it knows the order', async () => (await desk.get('/orders/7')).status === 200, { withinMs: 5_000 });
});

test('a busy server asks for a longer interval, and even a client without news hears of it', async () => {
  await using desk = await startDesk({ intervalS: 1, targetPerSecond: 5 });
  const { body, response } = await desk.updates('');
  const headers = { 'If-None-Match': response.headers.get('ETag')! };
  const told = await until('another interval', async () => {
    const answer = await desk.get(`${UPDATES_PATH}?after=${body.cursor}`, headers);
    return answer.status === 200 && answer;
  });
  expect(told.headers.get('Retry-After')).toBe('2');
  expect(await told.json()).toMatchObject({ hasNew: false });
  expect(await desk.metric('polling_interval_seconds')).toBe(2);
});

test('one address may not ask without end: 429, and when to come back', async () => {
  await using desk = await startDesk({ maxPerMinute: 3 });
  for (let n = 0; n < 3; n++) expect((await desk.updates('')).response.status).toBe(200);
  const { response, body } = await desk.updates('');
  expect(body).toMatchObject({ status: 429 });
  const seconds = Number(response.headers.get('Retry-After'));
  expect(seconds).toBeGreaterThan(30);
  expect(seconds).toBeLessThanOrEqual(60);
  expect(await desk.metric('polling_polls_total{result="refused"}')).toBe(1);
});

test('counts the polls by how they ended', async () => {
  await using desk = await startDesk();
  const { id } = await desk.feed.append('7', change(1));
  await desk.updates('after=0-0');
  await desk.updates(`after=${id}`);
  await desk.get(`${UPDATES_PATH}?after=${id}`, { 'If-None-Match': `"${id}.0"` });
  for (const result of ['news', 'empty', 'not-modified']) {
    expect(await desk.metric(`polling_polls_total{result="${result}"}`), result).toBe(1);
  }
});
