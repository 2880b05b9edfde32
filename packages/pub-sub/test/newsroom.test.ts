/** The newsroom's door, and its desk under faults that the delivery contract does not do. */
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { createLog } from '@patterns/kit/log';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { Redis } from 'ioredis';
import { expect, inject, test } from 'vitest';
import { OLDEST } from '../broker.ts';
import { type DeskOptions, subscribe } from '../client.ts';
import { type Gap, Tally } from '../gap.ts';
import { Newsroom } from '../newsroom.ts';
import { encode, envelope, type PubSubError } from '../protocol.ts';
import { startServer } from '../server.ts';

const story = (n: number) => ({ title: `Story ${n}`, content: 'Important update!' });

requireRedis()('the newsroom', () => {
  test('publishes what it is sent: to who listens, and to who reads later', async () => {
    await using room = await openRoom();
    await using desk = room.desk();
    await room.listening();
    const response = await room.post(JSON.stringify(story(1)));
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ id: '0-1', seq: 1, receivers: 1 });
    expect((await desk.next()).data).toEqual(story(1));
    await using late = room.desk({ after: OLDEST });
    expect((await late.next()).id).toBe('0-1');
  });

  test('says what is wrong with what is no story, and publishes nothing', async () => {
    await using room = await openRoom();
    const cases = ['{"title":""}', '[]', '{"title":"T"}', `{"title":"${'x'.repeat(201)}","content":""}`, '{'];
    const answers = await Promise.all(cases.map((body) => room.post(body)));
    expect(answers.map(({ status }) => status)).toEqual([422, 422, 422, 422, 400]);
    expect(await answers[2]?.json()).toMatchObject({ errors: [{ field: '/content' }] });
    expect(await room.redis.exists(room.newsroom.key)).toBe(0);
  });

  test('gives every number once, however many newsrooms publish at the same time', async () => {
    await using room = await openRoom();
    await using other = new Newsroom({ url: inject('redisUrl'), prefix: room.prefix });
    const both = [room.newsroom, other];
    const published = await Promise.all(Array.from({ length: 200 }, (_, n) => both[n % 2]!.publish(story(n))));
    expect(published.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
  });

  test('answers 503 when Redis is gone, and does not publish behind the back of whoever was told so', async () => {
    await using room = await openRoom();
    room.proxy.refuse();
    room.proxy.cut();
    const response = await room.post(JSON.stringify(story(1)));
    expect([response.status, await response.json()]).toMatchObject([503, { detail: 'unavailable' }]);
    room.proxy.accept();
    await until('a story', async () => (await room.post(JSON.stringify(story(2)))).status === 201);
    expect(await room.redis.xlen(room.newsroom.key)).toBe(1);
  });

  test('publishes once what it was asked once, although the line broke before the answer', async () => {
    await using room = await openRoom();
    await room.post(JSON.stringify(story(1)));
    room.proxy.stall('down');
    const asked = room.post(JSON.stringify(story(2)));
    await until('the story', async () => (await room.redis.xlen(room.newsroom.key)) === 2);
    room.proxy.cut();
    room.proxy.flow();
    expect((await asked).status, 'it may have been published: nobody knows').toBe(503);
    await until('a story', async () => (await room.post(JSON.stringify(story(3)))).status === 201);
    expect(await room.redis.xlen(room.newsroom.key)).toBe(3);
  });

  test('counts what is published, heard by nobody, pending and waiting', async () => {
    await using room = await openRoom();
    await room.post(JSON.stringify(story(1)));
    await room.redis.xgroup('CREATE', room.newsroom.key, 'g', '0');
    await room.redis.xreadgroup('GROUP', 'g', 'c', 'STREAMS', room.newsroom.key, '>');
    await using _desk = room.desk();
    await room.listening();
    await room.post(JSON.stringify(story(2)));
    const metrics = await (await fetch(`${room.url}/metrics`)).text();
    const expected = [
      'published_total 2',
      'unheard_total 1',
      'receivers 1',
      'subscribers 1',
      'log_head 2',
      'pending 1',
    ];
    for (const line of expected) expect(metrics).toContain(`\nnews_${line}\n`);
    expect(metrics).toMatch(/^news_subscriber_backlog_bytes \d+$/m);
  });

  test('redis-cli hears and reads what the chapter says', async () => {
    await using room = await openRoom();
    const cli = spawn('redis-cli', ['-u', inject('redisUrl'), 'SUBSCRIBE', room.newsroom.channel]);
    await using lines = EventQueue.from(createInterface({ input: cli.stdout }));
    try {
      await lines.find('the acknowledgement', (line) => line.includes('subscribe'));
      await room.listening();
      await room.newsroom.publish(story(1));
      const text = await lines.find('the story', (line) => line.includes('Story 1'));
      expect(text).toMatch(/^(3\) )?"?\{.*seq.*:1,/);
      const command = ['-u', inject('redisUrl'), 'XREAD', 'STREAMS', room.newsroom.key, '0'];
      const read = await promisify(execFile)('redis-cli', command);
      expect(read.stdout).toMatch(/0-1[\s\S]*message[\s\S]*Story 1/);
    } finally {
      cli.kill();
    }
  });
});

requireRedis()('a desk', () => {
  test('finds the loss of the last message by looking, with no later message to tell', async () => {
    await using room = await openRoom();
    const gaps = new EventQueue<Gap>();
    await using desk = room.desk({ lookEveryMs: 200, onGap: (gap) => gaps.push(gap) });
    await room.listening();
    await room.newsroom.publish(story(1));
    await desk.next();
    await room.logOnly(2); // in the log, and not on the channel: as if the channel had lost it
    expect((await desk.next()).id).toBe('0-2');
    expect(await gaps.next()).toEqual({ from: 2, to: 2, foundBy: 'look' });
  });

  test('finds a gap by the next number, and fills it in order', async () => {
    await using room = await openRoom();
    const [gaps, tally] = [new EventQueue<Gap>(), new Tally()];
    await using desk = room.desk({ lookEveryMs: 60_000, tally, onGap: (gap) => gaps.push(gap) });
    await room.listening();
    await room.newsroom.publish(story(1));
    await desk.next();
    for (const n of [2, 3]) await room.logOnly(n);
    await room.newsroom.publish(story(4));
    expect((await desk.take(3)).map(({ id }) => id)).toEqual(['0-2', '0-3', '0-4']);
    expect(await gaps.next()).toEqual({ from: 2, to: 3, foundBy: 'number' });
    expect(tally).toMatchObject({ gaps: 1, missed: 2 });
  });

  test('drops what comes a second time', async () => {
    await using room = await openRoom();
    const tally = new Tally();
    await using desk = room.desk({ tally });
    await room.listening();
    await room.newsroom.publish(story(1));
    await room.redis.publish(room.newsroom.channel, JSON.stringify({ ...envelope('news-updates', story(1)), seq: 1 }));
    await room.newsroom.publish(story(2));
    expect((await desk.take(2)).map(({ id }) => id)).toEqual(['0-1', '0-2']);
    expect(tally.repeated).toBeGreaterThan(0); // more, if the first one came from the log as well
  });

  test('passes over what is no story, and says so', async () => {
    await using room = await openRoom();
    const problems = new EventQueue<PubSubError>();
    await using desk = room.desk({ onProblem: (problem) => problems.push(problem) });
    await room.listening();
    const { channel } = room.newsroom;
    await room.redis.publish(channel, 'gossip');
    await room.redis.publish(channel, encode(envelope('news-updates', story(0)))); // no number: not from the newsroom
    await room.newsroom.publish({ title: '', content: '' });
    await room.newsroom.publish(story(2));
    expect((await desk.next()).id).toBe('0-2');
    expect((await problems.take(3)).map(({ code }) => code)).toEqual(Array(3).fill('malformed-message'));
  });

  test('keeps no more than its bound for a reader that takes its time, and misses nothing', async () => {
    await using room = await openRoom();
    const tally = new Tally();
    const stopping = new AbortController();
    const stories = subscribe(inject('redisUrl'), {
      prefix: room.prefix,
      signal: stopping.signal,
      maxPending: 10,
      tally,
    });
    const first = stories.next();
    await room.listening();
    await room.newsroom.publish(story(1));
    expect((await first).value?.id).toBe('0-1');
    for (let n = 2; n <= 100; n++) await room.newsroom.publish(story(n));
    for (let n = 2; n <= 100; n++) expect((await stories.next()).value?.id).toBe(`0-${n}`);
    expect(tally.live, 'taken from memory').toBeLessThanOrEqual(11);
    stopping.abort();
    await stories.return(undefined);
  });

  test('that missed more than is kept is told so, and may go on with the oldest', async () => {
    await using room = await openRoom({ retain: 5 });
    for (let n = 1; n <= 20; n++) await room.newsroom.publish(story(n));
    await using desk = room.desk({ after: '0-3' });
    await expect(desk.next()).rejects.toMatchObject({
      code: 'cursor-expired',
      message: 'messages 4 to 15 are no longer kept',
    });
    await using oldest = room.desk({ after: OLDEST });
    expect((await oldest.next()).id).toBe('0-16');
  });

  test('of a log that was replaced is told so, although the new one has nothing after its place', async () => {
    await using room = await openRoom();
    await using desk = room.desk({ lookEveryMs: 200 });
    await room.listening();
    for (const n of [1, 2, 3]) await room.newsroom.publish(story(n));
    await desk.take(3);
    await room.redis.del(room.newsroom.key);
    await expect(desk.next()).rejects.toMatchObject({ code: 'cursor-expired' });
  });

  test('leaves nothing behind', async () => {
    await using _leaks = noLeaks();
    await using room = await openRoom();
    const desk = room.desk();
    await room.listening();
    await desk[Symbol.asyncDispose]();
    await room.listening(0);
  });
});

async function openRoom({ retain = 10_000 } = {}) {
  const stack = new AsyncDisposableStack();
  const prefix = `${inject('redisPrefix')}${randomUUID()}:`;
  const redis = stack.adopt(new Redis(inject('redisUrl')), (client) => client.disconnect());
  const proxy = stack.use(await startFaultProxy(inject('redisUrl')));
  const newsroom = stack.use(new Newsroom({ url: proxy.url, prefix, retain }));
  const log = createLog('pub-sub-test');
  log.silent = true;
  const server = stack.use(await startServer({ newsroom, log, graceMs: 1_000 }));
  return {
    url: server.url,
    prefix,
    redis,
    proxy,
    newsroom,
    post: (body: string) =>
      fetch(`${server.url}/news`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }),
    desk: (options: DeskOptions = {}) =>
      EventQueue.from((signal) => subscribe(inject('redisUrl'), { prefix, signal, ...options })),
    async listening(expected = 1) {
      await until(`${expected} subscribers`, async () => {
        const [, count] = (await redis.pubsub('NUMSUB', newsroom.channel)) as [string, number];
        return count === expected;
      });
    },
    logOnly: (n: number) => redis.xadd(newsroom.key, '0-*', 'message', encode(envelope('news-updates', story(n)))),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
