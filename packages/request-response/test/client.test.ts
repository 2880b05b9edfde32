import { createServer, type RequestListener } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { call } from '../call.ts';
import { getMenu, placeOrder } from '../client.ts';
import { RetryBudget } from '../retry.ts';
import { PIZZA } from './restaurant.ts';

const MENU = JSON.stringify({ items: [{ id: 'pizza', name: 'Pizza', price: 1000 }] });
const freshBudget = () => new RetryBudget();

/** A server that answers as the test says, and counts. */
async function startPeer(answer: (n: number, ...args: Parameters<RequestListener>) => void) {
  const seen = { requests: [] as string[], connections: 0 };
  const http = createServer((request, response) => {
    seen.requests.push(request.headers.traceparent as string);
    request.resume().once('end', () => answer(seen.requests.length, request, response));
  });
  http.on('connection', () => seen.connections++);
  const { url, [Symbol.asyncDispose]: dispose } = await listen(http, { graceMs: 0 });
  return { url, seen, [Symbol.asyncDispose]: dispose };
}

test('gives up at its deadline, retries and pauses included', async () => {
  await using _leaks = noLeaks();
  await using peer = await startPeer(() => {});
  const error = await getMenu(peer.url, {
    deadlineMs: 1_000,
    attemptMs: 100,
    maxAttempts: 1_000,
    budget: freshBudget(),
  }).catch((reason) => reason);
  expect(error).toMatchObject({ name: 'CallError', code: 'timeout' });
  expect(peer.seen.requests.length).toBeGreaterThan(1);
});

test('the deadline holds for the body as well', async () => {
  await using _leaks = noLeaks();
  await using peer = await startPeer((_n, _request, response) => response.writeHead(200).write('{'));
  await expect(getMenu(peer.url, { deadlineMs: 200 })).rejects.toMatchObject({ code: 'timeout' });
});

test('never repeats a POST without a key', async () => {
  await using peer = await startPeer((_n, _request, response) => void response.destroy());
  const request = { method: 'POST', headers: {}, body: '{}' };
  await expect(call(new URL(peer.url), request, { budget: freshBudget() })).rejects.toMatchObject({ code: 'network' });
  expect(peer.seen.requests).toHaveLength(1);
});

test.each([400, 404, 409, 422, 500])('takes %i for an answer that will not change', async (status) => {
  await using peer = await startPeer((_n, _request, response) => void response.writeHead(status).end('no'));
  await expect(placeOrder(peer.url, PIZZA, { budget: freshBudget() })).rejects.toMatchObject({
    code: 'refused',
    status,
  });
  expect(peer.seen.requests).toHaveLength(1);
});

test.each([429, 502, 503, 504])('asks again after %i', async (status) => {
  await using peer = await startPeer(
    (n, _request, response) => void response.writeHead(n === 1 ? status : 200).end(MENU),
  );
  await getMenu(peer.url, { budget: freshBudget() });
  expect(peer.seen.requests).toHaveLength(2);
});

test('waits as long as Retry-After says', async () => {
  await using peer = await startPeer(
    (n, _request, response) =>
      void response.writeHead(n === 1 ? 503 : 200, n === 1 ? { 'Retry-After': '1' } : {}).end(MENU),
  );
  const startedAt = performance.now();
  await getMenu(peer.url, { budget: freshBudget() });
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(999);
});

test('does not wait for what comes after its deadline', async () => {
  await using peer = await startPeer(
    (_n, _request, response) => void response.writeHead(503, { 'Retry-After': '3600' }).end(),
  );
  await expect(getMenu(peer.url)).rejects.toMatchObject({ code: 'refused', status: 503 });
  expect(peer.seen.requests).toHaveLength(1);
});

test('stops repeating when the budget of all calls is spent', async () => {
  await using peer = await startPeer((_n, _request, response) => void response.writeHead(503).end());
  const budget = new RetryBudget({ burst: 2 });
  for (let i = 0; i < 5; i++) await getMenu(peer.url, { budget, maxAttempts: 2 }).catch(() => {});
  expect(peer.seen.requests).toHaveLength(5 + 2);
});

test('sends each attempt in the same trace, as a span of its own', async () => {
  await using peer = await startPeer((n, _request, response) => void response.writeHead(n === 1 ? 503 : 200).end(MENU));
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  await getMenu(peer.url, { budget: freshBudget(), traceparent: `00-${traceId}-b7ad6b7169203331-01` });
  const [first, second] = peer.seen.requests.map((traceparent) => traceparent.split('-'));
  expect([first?.[1], second?.[1]]).toEqual([traceId, traceId]);
  expect(new Set([first?.[2], second?.[2], 'b7ad6b7169203331']).size).toBe(3);
});

test('says so when the answer is not what the protocol says', async () => {
  await using peer = await startPeer((_n, _request, response) => void response.writeHead(200).end('<html>'));
  await expect(getMenu(peer.url)).rejects.toMatchObject({ code: 'protocol' });
});

test('reads every body, so that connections are used again', async () => {
  const body = 'x'.repeat(200_000); // more than the client's buffers take without anybody reading
  await using peer = await startPeer((_n, _request, response) => void response.writeHead(404).end(body));
  for (let i = 0; i < 10; i++) await getMenu(peer.url).catch(() => {});
  expect(peer.seen.requests).toHaveLength(10);
  expect(peer.seen.connections).toBeLessThan(5);
});

test('ends with what its caller aborted with, while it waits for an answer', async () => {
  await using _leaks = noLeaks();
  await using peer = await startPeer(() => {});
  const stopping = new AbortController();
  const reading = getMenu(peer.url, { signal: stopping.signal, maxAttempts: 1 }).catch((reason) => reason);
  await until('it was asked', () => peer.seen.requests.length === 1);
  stopping.abort();
  expect(await reading).toMatchObject({ name: 'AbortError' });
});

test('ends at once in a pause, too', async () => {
  await using _leaks = noLeaks();
  const retryAfter = { 'Retry-After': '60' };
  await using peer = await startPeer((_n, _request, response) => void response.writeHead(503, retryAfter).end());
  const stopping = new AbortController();
  const budget = freshBudget();
  budget.spend = () => setImmediate(() => stopping.abort()).hasRef(); // spent: the pause begins
  const reading = getMenu(peer.url, { signal: stopping.signal, deadlineMs: 120_000, budget });
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
});
