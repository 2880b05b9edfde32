import { until } from '@patterns/kit/testing/until';
import { expect, onTestFinished, test } from 'vitest';
import { newDeadline } from '../chassis/deadline.ts';
import { type DependencyOptions, openDependency } from '../chassis/dependency.ts';
import { log, type Neighbour, says, startNeighbour } from './stage.ts';

type Call = Parameters<ReturnType<typeof openDependency>['call']>[0];

const get: Call = { method: 'GET', path: '/x' };
const keyed: Call = { method: 'POST', path: '/x', body: {}, headers: { 'Idempotency-Key': 'k' } };

function open(urls: string[], options: Partial<DependencyOptions> = {}) {
  const dependency = openDependency({ name: 'callee', urls, timeoutMs: 5_000, retries: 0, log, ...options });
  onTestFinished(() => dependency[Symbol.asyncDispose]());
  const call = (request: Call, ms = 5_000) => dependency.call(request, { deadline: newDeadline(ms) });
  const codeOf = (request: Call, ms?: number) =>
    call(request, ms).then(
      () => 'answered',
      (error) => error.code,
    );
  return { dependency, call, codeOf };
}

/** Where nobody listens. */
async function nowhere(): Promise<string> {
  const gone = await startNeighbour(says(200));
  await gone.close();
  return gone.url;
}

test('the breaker opens after failures in a row, and then answers without asking', async () => {
  await using callee = await startNeighbour(says(500));
  const { dependency, codeOf } = open([callee.url], { breaker: { failures: 3, openMs: 60_000 } });
  for (let i = 0; i < 3; i++) expect(await codeOf(get)).toBe('refused');
  expect(dependency.state).toBe('open');
  expect(await codeOf(get)).toBe('open');
  expect(callee.requests).toHaveLength(3);
});

test('what the callee refuses is an answer: 4xx opens no breaker', async () => {
  await using callee = await startNeighbour(says(404));
  const { dependency, call } = open([callee.url], { breaker: { failures: 2, openMs: 60_000 } });
  for (let i = 0; i < 5; i++) expect((await call(get)).status).toBe(404);
  expect(dependency.state).toBe('closed');
});

test('after its rest one call tries, and the others are told at once: none waits for it', async () => {
  let answer = says(500);
  let finish = () => {};
  await using callee = await startNeighbour((request, response) => answer(request, response));
  const { dependency, call, codeOf } = open([callee.url], { breaker: { failures: 1, openMs: 1 } });
  expect(await codeOf(get)).toBe('refused');
  answer = (request, response) => {
    finish = () => says(200)(request, response);
  };
  const before = callee.requests.length;
  // Sooner than 1 ms it is open still.
  const probe = (async () => {
    for (;;) {
      try {
        return await call(get);
      } catch {}
    }
  })();
  await until('the probe is on its way', () => callee.requests.length > before);
  expect(dependency.state).toBe('half-open');
  expect(await codeOf(get)).toBe('open');
  finish();
  expect((await probe).status).toBe(200);
  expect(dependency.state).toBe('closed');
  expect(callee.requests.length).toBe(before + 1);
});

test('a caller without patience says nothing about the callee', async () => {
  await using callee = await startNeighbour(() => {});
  const { dependency, codeOf } = open([callee.url], { breaker: { failures: 1, openMs: 60_000 } });
  expect(await codeOf(get, 80)).toBe('timeout');
  expect(dependency.state).toBe('closed');
});

test('a callee that is slow opens the breaker', async () => {
  await using callee = await startNeighbour(() => {});
  const { dependency, codeOf } = open([callee.url], { timeoutMs: 50, breaker: { failures: 1, openMs: 60_000 } });
  expect(await codeOf(get)).toBe('timeout');
  expect(dependency.state).toBe('open');
});

test('the bulkhead is full: the next call fails at once, and those inside go on', async () => {
  const answers: (() => void)[] = [];
  await using callee = await startNeighbour((request, response) => {
    answers.push(() => says(200)(request, response));
  });
  const { call, codeOf } = open([callee.url], { maxConcurrent: 2, maxQueued: 1 });
  const inside = [call(get), call(get)];
  await until('two are inside', () => answers.length === 2);
  const queued = call(get);
  expect(await codeOf(get)).toBe('full');
  for (const answer of answers.splice(0)) answer();
  expect((await Promise.all(inside)).map(({ status }) => status)).toEqual([200, 200]);
  await until('the one that waited is inside', () => answers.length === 1);
  answers[0]!();
  expect((await queued).status).toBe(200);
});

test('who waits before the bulkhead waits no longer than his deadline', async () => {
  await using callee = await startNeighbour(() => {});
  const { codeOf } = open([callee.url], { maxConcurrent: 1, maxQueued: 1 });
  const inside = codeOf(get, 500);
  await until('one is inside', () => callee.requests.length === 1);
  expect(await codeOf(get, 60)).toBe('timeout');
  expect(callee.requests).toHaveLength(1);
  expect(await inside).toBe('timeout');
});

test('a failure that passes is asked again, three attempts at most', async () => {
  await using callee = await startNeighbour(says(503));
  const { codeOf } = open([callee.url], { retries: 2 });
  expect(await codeOf(keyed)).toBe('refused');
  expect(callee.requests).toHaveLength(3);
});

test('without a key a POST is sent once: nobody knows what it did', async () => {
  await using callee = await startNeighbour((request) => request.socket.destroy());
  await using other = await startNeighbour(says(200));
  const { codeOf } = open([callee.url, other.url], { retries: 2 });
  expect(await codeOf({ method: 'POST', path: '/x', body: {} })).toBe('unreachable');
  expect([callee.requests.length, other.requests.length]).toEqual([1, 0]);
});

test('an instance that hangs up in the middle: what may be repeated is answered by the next one', async () => {
  await using callee = await startNeighbour((request) => request.socket.destroy());
  await using other = await startNeighbour(says(200));
  const { call } = open([callee.url, other.url], { retries: 2 });
  expect((await call(keyed)).status).toBe(200);
});

test('an instance that is gone costs no retry and no failure, with a key or without', async () => {
  await using other = await startNeighbour(says(200));
  const { dependency, call } = open([await nowhere(), other.url], {
    retries: 0,
    breaker: { failures: 1, openMs: 60_000 },
  });
  for (let i = 0; i < 20; i++) expect((await call({ method: 'POST', path: '/x', body: {} })).status).toBe(200);
  expect(dependency.state).toBe('closed');
});

test('an instance that is back is asked again', async () => {
  await using stack = new AsyncDisposableStack();
  const first = stack.use(await startNeighbour((request) => request.socket.destroy()));
  const other = stack.use(await startNeighbour(says(200)));
  const { call } = open([first.url, other.url], { retries: 2 });
  await call(get);
  const seen = first.requests.length;
  await until('it is asked again', async () => (await call(get)) && first.requests.length > seen);
});

test('retries are a tenth of the calls, however many fail', async () => {
  await using callee = await startNeighbour(says(429));
  const { call } = open([callee.url], { retries: 2, maxConcurrent: 200 });
  const calls = 100;
  await Promise.all(Array.from({ length: calls }, () => call(get, 20_000)));
  // Ten that one may make at once, and a tenth.
  expect(callee.requests.length).toBeGreaterThan(calls);
  expect(callee.requests.length).toBeLessThanOrEqual(calls + 20);
});

test('an answer that is no JSON, though it says so, is a fault of the callee', async () => {
  await using callee: Neighbour = await startNeighbour((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"a":');
  });
  expect(await open([callee.url]).codeOf(get)).toBe('protocol');
});
