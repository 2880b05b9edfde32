import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { orderReport, subscribe, waitForReport } from '../client.ts';
import { CURSOR_HEADER, encodeUpdates, UPDATES_PATH, type Update } from '../protocol.ts';
import { message, startOffice } from './office.ts';

const update = (n: number): Update => ({ id: `${n}-0`, topic: 'messages', at: n, data: message(n) });
const numbers = (queue: EventQueue<Update>) => queue.items.map(({ data }) => (data as { n?: number }).n);

/** A server that answers question after question as told, and remembers each one's `after`. */
async function startScript(...answers: ((response: ServerResponse, request: IncomingMessage) => void)[]) {
  const asked: { after: string | null; at: number }[] = [];
  const server = await listen(
    createServer((request, response) => {
      asked.push({ after: new URL(request.url!, 'http://x').searchParams.get('after'), at: performance.now() });
      const answer = answers[Math.min(asked.length, answers.length) - 1]!;
      answer(response, request);
    }),
    { graceMs: 500 },
  );
  return { url: server.url, asked, [Symbol.asyncDispose]: () => server.close() };
}

const news = (n: number) => (response: ServerResponse) =>
  response.writeHead(200, { [CURSOR_HEADER]: `${n}-0` }).end(encodeUpdates([update(n)]));
const nothing = (cursor: string) => (response: ServerResponse) =>
  response.writeHead(204, { [CURSOR_HEADER]: cursor }).end();
const busy = (retryAfter?: string) => (response: ServerResponse) =>
  response.writeHead(503, retryAfter === undefined ? {} : { 'Retry-After': retryAfter }).end();

test('takes its place from each answer, also from an empty one', async () => {
  await using script = await startScript(nothing('7-0'), news(8), news(9));
  await using updates = EventQueue.from((signal) => subscribe(script.url, { signal }));
  await updates.take(2);
  expect(numbers(updates).slice(0, 2)).toEqual([8, 9]);
  expect(script.asked.slice(0, 3).map(({ after }) => after)).toEqual([null, '7-0', '8-0']);
});

test('an answer that is cut in its middle does not move its place', async () => {
  await using script = await startScript((response) => {
    response.writeHead(200, { [CURSOR_HEADER]: '8-0', 'Content-Length': 1_000 }).write('{"updates":[');
    setImmediate(() => response.destroy());
  }, news(8));
  await using updates = EventQueue.from((signal) => subscribe(script.url, { after: '7-0', signal }));
  expect((await updates.next()).id).toBe('8-0');
  expect(script.asked.slice(0, 2).map(({ after }) => after)).toEqual(['7-0', '7-0']);
});

test('a 204 that comes at once does not make it spin', async () => {
  await using script = await startScript(nothing('7-0'));
  await using _updates = EventQueue.from((signal) => subscribe(script.url, { signal }));
  await new Promise((resolve) => setTimeout(resolve, 500)); // nothing to wait for: that it does not ask is the point
  expect(script.asked.length).toBeGreaterThan(0);
  expect(script.asked.length).toBeLessThan(20); // a client that spins asks hundreds of times
});

test('a hold that ends without news is no failure: it asks on without a pause', async () => {
  let answeredAt = 0;
  await using script = await startScript((response) => {
    setTimeout(() => {
      answeredAt = performance.now();
      nothing('7-0')(response);
    }, 1_200); // the hold
  }, news(8));
  await using updates = EventQueue.from((signal) => subscribe(script.url, { signal }));
  await updates.next();
  expect(script.asked[1]!.at - answeredAt).toBeLessThan(2_000); // the textbook client pauses for 5 s
});

test('notices a server that has gone without a word, and asks anew', async () => {
  await using office = await startOffice();
  await using proxy = await startFaultProxy(office.url);
  const options = { after: '0-0', waitSeconds: 1, graceMs: 500 };
  await using updates = EventQueue.from((signal) => subscribe(proxy.url, { ...options, signal }));
  await office.parked(1);
  proxy.halfOpen('server'); // the client's side stays open, and nobody tells it
  await office.parked(0);
  await office.send(1);
  await updates.next();
  expect(numbers(updates)).toEqual([1]);
});

test.each([
  ['seconds', () => '1'],
  ['a date', () => new Date(Date.now() + 2_000).toUTCString()],
])('waits as long as a full server asks it to, in %s', async (_form, retryAfter) => {
  await using script = await startScript(
    busy(), // once without a word: it tries again by itself
    (response) => busy(retryAfter())(response),
    news(1),
  );
  await using updates = EventQueue.from((signal) => subscribe(script.url, { signal }));
  await updates.next();
  expect(script.asked[2]!.at - script.asked[1]!.at).toBeGreaterThan(950); // a date has no fractions of a second
});

test('goes on at another server when its own is killed', async () => {
  await using a = await startOffice();
  await using b = await startOffice({ feed: a.feed });
  await using proxy = await startFaultProxy(a.url);
  await using updates = EventQueue.from((signal) => subscribe(proxy.url, { after: '0-0', signal }));
  await a.send(1);
  await updates.next();
  proxy.target(b.url);
  await a.server.close(); // answers, and says that the connection ends
  await b.parked(1);
  await b.send(2);
  await updates.next();
  expect(numbers(updates)).toEqual([1, 2]);
});

test('gives up at once on a 4xx, and says why', async () => {
  await using office = await startOffice({ retain: 5 });
  const first = await office.send(0);
  for (let n = 1; n <= 2_100; n++) await office.send(n); // past the log and past the server's memory
  await expect(subscribe(office.url, { after: 'yesterday' }).next()).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringContaining('malformed'),
  });
  await expect(subscribe(office.url, { after: first.id }).next()).rejects.toMatchObject({ code: 'cursor-expired' });
});

test.each(['<html>', '{}', '{"updates":[{"id":"x"}]}'])('says so when it does not understand %s', async (body) => {
  await using script = await startScript((response) => response.writeHead(200).end(body));
  await expect(subscribe(script.url).next()).rejects.toMatchObject({ code: 'malformed-answer' });
});

test('passes over a type of notice that it does not know', async () => {
  const unknown = { ...update(1), data: { type: 'fanfare' } };
  await using script = await startScript(
    (response) => response.writeHead(200, { [CURSOR_HEADER]: '1-0' }).end(JSON.stringify({ updates: [unknown] })),
    news(2),
  );
  await using updates = EventQueue.from((signal) => subscribe(script.url, { signal }));
  await updates.next();
  expect(numbers(updates)).toEqual([2]);
});

test('a report is waited for over any number of holds', async () => {
  await using office = await startOffice({ maxHoldMs: 100 });
  const location = await orderReport(office.url, 'Q3');
  const report = waitForReport(office.url, location);
  const holds = () => office.metric('long_polling_ended_total{outcome="timeout"}');
  await until('two holds', async () => (await holds()) >= 2);
  await office.feed.append(location.split('/').at(-1)!, { type: 'report-ready', title: 'Q3', pages: 2 });
  expect(await report).toMatchObject({ title: 'Q3' });
});

test('a caller that stops leaves nothing behind, on either side', async () => {
  await using _leaks = noLeaks();
  await using office = await startOffice();
  await office.send(1);
  for await (const _update of subscribe(office.url, { after: '0-0' })) break;
  const leaving = new AbortController();
  const waiting = subscribe(office.url, { signal: leaving.signal }).next();
  await office.parked(1);
  leaving.abort();
  expect((await waiting).done).toBe(true);
  await office.parked(0);
});

test('asks for what the protocol says', async () => {
  await using script = await startScript((response, request) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://x');
    response.writeHead(400).end(`${pathname} ${[...searchParams.keys()].join(' ')}`);
  });
  const asking = subscribe(script.url, { after: '1-0', waitSeconds: 3 }).next();
  await expect(asking).rejects.toThrow(`${UPDATES_PATH} after wait client`);
});
