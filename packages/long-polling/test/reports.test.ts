import { randomUUID } from 'node:crypto';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { requireRedis } from '@patterns/services/testing';
import { Redis } from 'ioredis';
import { expect, inject, test } from 'vitest';
import { orderReport, waitForReport } from '../client.ts';
import { type Notice, REPORTS_PATH, type Update } from '../protocol.ts';
import { makeReports } from '../worker.ts';
import { ask, startOffice } from './office.ts';

const ready = (title: string): Notice => ({ type: 'report-ready', title, pages: 2 });

test('a report is ordered, waited for, made by somebody else, and delivered', async () => {
  await using _leaks = noLeaks();
  await using office = await startOffice();
  const location = await orderReport(office.url, 'Q3');
  const report = waitForReport(office.url, location, { waitSeconds: 20 });
  await office.parked(1);
  const stop = new AbortController();
  const working = makeReports(office.feed, { makingMs: 1, signal: stop.signal });
  expect(await report).toEqual({ id: location.slice(REPORTS_PATH.length + 1), title: 'Q3', pages: 2 });
  stop.abort();
  await working;
});

test('news that is none of its business does not wake it, nor answers it when both come together', async () => {
  await using office = await startOffice();
  const location = await orderReport(office.url, 'Q3');
  const inbox = ask(office.url, '/updates');
  const question = ask(office.url, location);
  await office.parked(2);
  await office.feed.append('another report', ready('Q1'));
  await inbox.answered; // the news has gone round
  await office.parked(1);
  const id = location.slice(REPORTS_PATH.length + 1);
  await Promise.all([office.feed.append('another report', ready('Q2')), office.feed.append(id, ready('Q3'))]);
  expect(JSON.parse((await question.answered).body)).toMatchObject({ id, title: 'Q3' });
});

test('a report that becomes ready while the server looks for it is delivered at once', async () => {
  /** The worst moment: the log has been read, and its answer is on the way. */
  class Feed extends MemoryFeed<Notice> {
    override async read(...args: Parameters<MemoryFeed<Notice>['read']>): Promise<Update[]> {
      const updates = await super.read(...args);
      if (updates.length === 1) await this.append('r', ready('Q3'));
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve))); // the news has gone round
      return updates;
    }
  }
  await using feed = new Feed();
  await feed.append('r', { type: 'report-ordered', title: 'Q3' });
  await using office = await startOffice({ feed }); // later: what was ordered is in the log, not in its memory
  const { status } = await ask(office.url, `${REPORTS_PATH}/r?wait=1`).answered;
  expect(status).toBe(200);
});

test('404 for a report that nobody has ordered', async () => {
  await using office = await startOffice();
  expect((await ask(office.url, `${REPORTS_PATH}/none`).answered).status).toBe(404);
  await office.parked(0);
  await expect(waitForReport(office.url, `${REPORTS_PATH}/none`)).rejects.toMatchObject({ code: 'refused' });
});

test('a worker makes what the one before it has left undone, and nothing twice', async () => {
  await using feed = new MemoryFeed<Notice>();
  await feed.append('done', { type: 'report-ordered', title: 'Q1' });
  await feed.append('undone', { type: 'report-ordered', title: 'Q2' });
  await feed.append('done', ready('Q1'));
  const stop = new AbortController();
  await using made = new EventQueue<string>();
  void feed.follow({ signal: stop.signal }, ({ topic, data }) => {
    if (data.type === 'report-ready') made.push(topic);
  });
  const working = makeReports(feed, { makingMs: 1, signal: stop.signal });
  await feed.append('new', { type: 'report-ordered', title: 'Q3' });
  expect((await made.take(2)).sort()).toEqual(['new', 'undone']);
  stop.abort();
  await working;
});

test('an order that cannot be understood is 400', async () => {
  await using office = await startOffice();
  await expect(orderReport(office.url, '')).rejects.toMatchObject({ message: expect.stringContaining('/title') });
});

requireRedis()('two servers on a feed in Redis', () => {
  test('what is ordered at one is waited for at the other', async () => {
    const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}` };
    await using feedA = new RedisFeed<Notice>(redis);
    await using feedB = new RedisFeed<Notice>(redis);
    await using a = await startOffice({ feed: feedA });
    await using b = await startOffice({ feed: feedB });
    const location = await orderReport(a.url, 'Q3');
    const atB = ask(b.url, location);
    const inbox = ask(b.url, `/updates?after=${await feedA.position()}`);
    await b.parked(2);
    await feedA.append(location.slice(REPORTS_PATH.length + 1), ready('Q3'));
    expect((await atB.answered).status).toBe(200);
    expect((await inbox.answered).body).toContain('report-ready');
  });

  test('when the feed is lost, whoever waits is told to ask again, and then that the cursor is worth nothing', async () => {
    const redis = { url: inject('redisUrl'), key: `${inject('redisPrefix')}${randomUUID()}`, onError: () => {} };
    await using feed = new RedisFeed<Notice>({ ...redis, blockMs: 100 });
    await using office = await startOffice({ feed });
    const { id } = await office.send(1);
    await office.send(2);
    const { headers } = await ask(office.url, `/updates?after=${id}`).answered;
    const cursor = String(headers.cursor);
    const question = ask(office.url, `/updates?after=${cursor}`);
    await office.parked(1);
    const forgetful = new Redis(redis.url);
    await forgetful.del(redis.key); // as when Redis comes back without its data
    forgetful.disconnect();
    expect(await question.answered).toMatchObject({ status: 204, headers: { cursor } });
    expect((await ask(office.url, `/updates?after=${cursor}`).answered).status).toBe(410);
    const anew = ask(office.url, '/updates');
    await office.parked(1);
    await office.send(3);
    expect((await anew.answered).numbers).toEqual([3]);
  });
});
