import { connect } from 'node:net';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test, vi } from 'vitest';
import { gatherCrowd } from '../demo-crowd.ts';
import { holdFor } from '../parking.ts';
import { type Notice, UPDATES_PATH } from '../protocol.ts';
import { ask, message, startOffice } from './office.ts';

test('what came after the cursor is answered at once, and nobody is parked', async () => {
  await using office = await startOffice();
  const first = await office.send(1);
  const second = await office.send(2);
  const got = await ask(office.url, `${UPDATES_PATH}?after=${first.id}`).answered;
  expect(got).toMatchObject({ status: 200, numbers: [2], headers: { cursor: second.id, 'cache-control': 'no-store' } });
  expect(await office.metric('long_polling_ended_total{outcome="delivered"}')).toBe(0);
});

test('a cursor from before this server began is looked up in the log', async () => {
  await using feed = new MemoryFeed<Notice>();
  const [first] = [await feed.append('messages', message(1)), await feed.append('messages', message(2))];
  await using office = await startOffice({ feed });
  const got = await ask(office.url, `${UPDATES_PATH}?after=${first.id}`).answered;
  expect(got.numbers).toEqual([2]);
});

test('news that comes while the server reads the log does not overtake what is in it', async () => {
  class SlowFeed extends MemoryFeed<Notice> {
    override async read(...args: Parameters<MemoryFeed<Notice>['read']>) {
      const updates = await super.read(...args);
      await this.append('messages', message(3));
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve))); // the news has gone round
      return updates;
    }
  }
  await using feed = new SlowFeed();
  const [first] = [await feed.append('messages', message(1)), await feed.append('messages', message(2))];
  await using office = await startOffice({ feed });
  expect((await ask(office.url, `${UPDATES_PATH}?after=${first.id}`).answered).numbers).toEqual([2]);
});

test('a parked request is woken by what is appended, with what is new', async () => {
  await using _leaks = noLeaks();
  await using office = await startOffice();
  const { id } = await office.send(1);
  const question = ask(office.url, `${UPDATES_PATH}?after=${id}`);
  await office.parked(1);
  await office.send(2);
  expect((await question.answered).numbers).toEqual([2]);
  expect(await office.metric('long_polling_ended_total{outcome="delivered"}')).toBe(1);
  expect(await office.metric('long_polling_hold_seconds_count')).toBe(1);
  expect(await office.metric('long_polling_wake_up_seconds_count')).toBe(1);
  await office.parked(0);
});

test('an empty hold ends with 204, no body and the same cursor', async () => {
  await using office = await startOffice({ maxHoldMs: 50 });
  const { id } = await office.send(1);
  const got = await ask(office.url, `${UPDATES_PATH}?after=${id}&wait=20`).answered;
  expect(got).toMatchObject({ status: 204, body: '', headers: { cursor: id, 'cache-control': 'no-store' } });
  expect(await office.metric('long_polling_ended_total{outcome="timeout"}')).toBe(1);
});

test('a client that asks for what comes from now on learns from the 204 when that was', async () => {
  await using office = await startOffice();
  await office.send(1);
  const { headers } = await ask(office.url, `${UPDATES_PATH}?wait=0`).answered;
  await office.send(2); // between two polls
  const got = await ask(office.url, `${UPDATES_PATH}?after=${String(headers.cursor)}`).answered;
  expect(got.numbers).toEqual([2]);
});

test('wait=0 does not wait, and still tells what the log has', async () => {
  await using feed = new MemoryFeed<Notice>();
  await feed.append('messages', message(1));
  await using office = await startOffice({ feed });
  expect((await ask(office.url, `${UPDATES_PATH}?after=0-0&wait=0`).answered).numbers).toEqual([1]);
});

test('a hold is never longer than client and server want, and never the same for all', () => {
  const holds = (waitMs: number | undefined) => Array.from({ length: 100 }, () => holdFor(waitMs, 30_000));
  for (const [waitMs, mostMs] of [
    [undefined, 30_000],
    [90_000, 30_000],
    [5_000, 5_000],
  ] as const) {
    for (const hold of holds(waitMs)) {
      expect(hold).toBeLessThanOrEqual(mostMs);
      expect(hold).toBeGreaterThanOrEqual(mostMs * 0.8);
    }
    expect(new Set(holds(waitMs)).size).toBeGreaterThan(10);
  }
});

test('a burst wakes once, with all of it', async () => {
  await using office = await startOffice();
  const question = ask(office.url, UPDATES_PATH);
  await office.parked(1);
  await Promise.all([1, 2, 3].map(office.send));
  expect((await question.answered).numbers).toEqual([1, 2, 3]);
});

test('an answer has a limit; its cursor leads to the rest', async () => {
  await using office = await startOffice({ batchLimit: 2 });
  for (const n of [1, 2, 3]) await office.send(n);
  const first = await ask(office.url, `${UPDATES_PATH}?after=0-0`).answered;
  expect(first.numbers).toEqual([1, 2]);
  const rest = await ask(office.url, `${UPDATES_PATH}?after=${String(first.headers.cursor)}`).answered;
  expect(rest.numbers).toEqual([3]);
});

test('1,000 parked requests are woken by one update, which is encoded once', { timeout: 30_000 }, async () => {
  await using office = await startOffice();
  await using crowd = gatherCrowd(office.url, 1_000);
  await office.parked(1_000);
  expect(office.feed.followers).toBe(1); // the server's own: a parked request costs none
  using stringify = vi.spyOn(JSON, 'stringify');
  await office.send(1);
  expect((await crowd.woken(0)).withNews).toBe(1_000);
  const encodings = stringify.mock.calls.filter(([value]) => typeof value === 'object' && value && 'updates' in value);
  expect(encodings).toHaveLength(1);
});

test('a client ahead of this server waits until the server is past it', async () => {
  await using feed = new LateFeed();
  await using office = await startOffice({ feed });
  const seen = await feed.append('messages', message(1)); // another server has told it already
  const question = ask(office.url, `${UPDATES_PATH}?after=${seen.id}`);
  await office.parked(1);
  feed.deliver();
  await feed.append('messages', message(2));
  feed.deliver();
  expect((await question.answered).numbers).toEqual([2]);
});

test('a client that leaves frees its place', async () => {
  await using _leaks = noLeaks();
  await using office = await startOffice();
  const question = ask(office.url, UPDATES_PATH);
  await office.parked(1);
  question.hangUp();
  await office.parked(0);
  expect(await office.metric('long_polling_ended_total{outcome="left"}')).toBe(1);
});

test('beyond the limit of all it refuses with 503 and Retry-After', async () => {
  await using office = await startOffice({ maxParked: 1 });
  const first = ask(office.url, `${UPDATES_PATH}?client=ann`);
  await office.parked(1);
  const { status, headers } = await ask(office.url, `${UPDATES_PATH}?client=bob`).answered;
  expect(status).toBe(503);
  expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
  expect(await office.metric('long_polling_refused_total')).toBe(1);
  first.hangUp();
});

test('beyond the limit of one client it refuses that one, and no other', async () => {
  await using office = await startOffice({ maxPerClient: 2 });
  const nameless = [ask(office.url, UPDATES_PATH), ask(office.url, UPDATES_PATH)];
  await office.parked(2);
  expect((await ask(office.url, UPDATES_PATH).answered).status).toBe(503);
  const named = ask(office.url, `${UPDATES_PATH}?client=ann`);
  await office.parked(3);
  for (const question of [...nameless, named]) question.hangUp();
});

test('a second poll of the same client takes the place of the first, which is answered 204', async () => {
  await using office = await startOffice({ maxPerClient: 1 });
  const { id } = await office.send(1);
  const first = ask(office.url, `${UPDATES_PATH}?client=ann&after=${id}`);
  await office.parked(1);
  const second = ask(office.url, `${UPDATES_PATH}?client=ann&after=${id}`);
  expect(await first.answered).toMatchObject({ status: 204, headers: { cursor: id } });
  await office.send(2);
  expect((await second.answered).numbers).toEqual([2]);
});

test('at shutdown every parked request is answered, and its connection ends', async () => {
  await using _leaks = noLeaks();
  await using office = await startOffice({ graceMs: 60_000 });
  const { id } = await office.send(1);
  const questions = [1, 2].map(() => ask(office.url, `${UPDATES_PATH}?after=${id}`));
  await office.parked(2);
  await office.server.close();
  for (const { answered } of questions) {
    expect(await answered).toMatchObject({ status: 204, headers: { cursor: id, connection: 'close' } });
  }
});

test('an answer that nobody reads does not stay for ever', async () => {
  await using office = await startOffice({ silenceMs: 500, maxHoldMs: 200 });
  const bulky = { ...message(1), padding: 'x'.repeat(200_000) };
  for (let i = 0; i < 100; i++) await office.feed.append('messages', bulky); // more than the kernel's buffers hold
  const { hostname, port } = new URL(office.url);
  const socket = connect({ host: hostname, port: Number(port) }).pause();
  socket.on('error', () => {}); // it is reset
  socket.write(`GET ${UPDATES_PATH}?after=0-0 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await until('the answer is under way', () => office.server.connections === 1);
  await until('the server has hung up', () => office.server.connections === 0);
  socket.destroy();
});

test.each([
  ['after', 'after=yesterday'],
  ['wait', 'wait=-1'],
  ['wait', 'wait=soon'],
  ['client', 'client=a%20b'],
])('400 names the parameter %s in ?%s', async (field, query) => {
  await using office = await startOffice();
  const { status, headers, body } = await ask(office.url, `${UPDATES_PATH}?${query}`).answered;
  expect([status, headers['content-type']]).toEqual([400, 'application/problem+json']);
  expect(JSON.parse(body)).toMatchObject({ status: 400, errors: [{ field }] });
});

test('an expired cursor is 410, and says what is left', async () => {
  await using feed = new MemoryFeed<Notice>({ retain: 5 });
  const first = await feed.append('messages', message(0));
  for (let n = 1; n <= 20; n++) await feed.append('messages', message(n));
  await using office = await startOffice({ feed });
  const { status, body } = await ask(office.url, `${UPDATES_PATH}?after=${first.id}`).answered;
  expect(status).toBe(410);
  expect(JSON.parse(body).detail).toMatch(/expired.*oldest that is left is \d+-\d+/);
  await office.parked(0);
});

test.each(['1-0', '99999999999999-0'])('%s, a cursor of a feed that was lost, is 410 as well', async (cursor) => {
  await using office = await startOffice();
  await office.send(1);
  expect((await ask(office.url, `${UPDATES_PATH}?after=${cursor}`).answered).status).toBe(410);
});

test('another method is 405 with Allow', async () => {
  await using office = await startOffice();
  const { status, headers } = await ask(office.url, UPDATES_PATH, { method: 'DELETE' }).answered;
  expect([status, headers.allow]).toEqual([405, 'GET']);
});

/** A feed that tells its followers later than its readers, as Redis may: the log is asked on another connection. */
class LateFeed extends MemoryFeed<Notice> {
  #held: (() => void)[] = [];

  override follow(...[options, listener]: Parameters<MemoryFeed<Notice>['follow']>): Promise<void> {
    return super.follow(options, (event) => void this.#held.push(() => void listener(event)));
  }

  deliver(): void {
    for (const tell of this.#held.splice(0)) tell();
  }
}
