import { request } from 'undici';
import { expect, test } from 'vitest';
import { deadlineOf, newDeadline, shrink } from '../chassis/deadline.ts';
import { openDependency } from '../chassis/dependency.ts';
import { serve } from '../chassis/service.ts';
import { log, startNeighbour } from './stage.ts';

/** A service that asks the next one for as long as it may itself. */
async function startHop(stack: AsyncDisposableStack, name: string, next: string) {
  const seen: number[] = [];
  const left = Promise.withResolvers<unknown>();
  const dependency = stack.use(openDependency({ name: 'next', urls: [next], timeoutMs: 10_000, retries: 0, log }));
  const routes: Parameters<typeof serve>[0]['routes'] = (app) => {
    app.get('/', async (incoming, response) => {
      const deadline = deadlineOf(incoming, { maxMs: 5_000 });
      deadline.signal.addEventListener('abort', () => left.resolve(deadline.signal.reason));
      seen.push(Math.round(deadline.leftMs()));
      response.json((await dependency.call({ method: 'GET', path: '/' }, { deadline })).body);
    });
  };
  const { url } = stack.use(await serve({ name, log, routes, graceMs: 100 }));
  return { url, seen, left: left.promise };
}

test('a deadline shrinks with each hop, so that who is asked last gives up first', async () => {
  await using stack = new AsyncDisposableStack();
  const last = stack.use(
    await startNeighbour((incoming, response) => {
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify(incoming.headers['deadline-ms']));
    }),
  );
  const second = await startHop(stack, 'second', last.url);
  const first = await startHop(stack, 'first', second.url);
  const answer = await request(first.url, { headers: { 'Deadline-Ms': '3000' } });
  const seenLast = Number(await answer.body.json());
  expect(first.seen[0]).toBeGreaterThan(0);
  expect(second.seen[0]).toBeLessThan(first.seen[0]!);
  expect(seenLast).toBeLessThan(second.seen[0]!);
  expect(seenLast).toBeGreaterThan(0);
});

test('the last hop hangs: the first one still answers, and says who was late', async () => {
  await using stack = new AsyncDisposableStack();
  const last = stack.use(await startNeighbour(() => {}));
  const first = await startHop(stack, 'first', last.url);
  const answer = await request(first.url, { headers: { 'Deadline-Ms': '300' } });
  expect(answer.statusCode).toBe(504);
  expect(await answer.body.json()).toMatchObject({ detail: 'next did not answer in time' });
});

test('the caller leaves: whoever works for him is told', async () => {
  await using stack = new AsyncDisposableStack();
  const asked = Promise.withResolvers<void>();
  const dropped = Promise.withResolvers<void>();
  const last = stack.use(
    await startNeighbour((_request, response) => {
      response.on('close', () => dropped.resolve());
      asked.resolve();
    }),
  );
  const first = await startHop(stack, 'first', last.url);
  const leaving = new AbortController();
  const answer = request(first.url, { signal: leaving.signal }).catch((error) => error.name);
  await asked.promise;
  leaving.abort();
  expect(await answer).toBe('AbortError');
  expect(await first.left).toMatchObject({ status: 499 });
  await dropped.promise;
});

test("a deadline that makes no sense is the caller's mistake; one without end is ours to limit", async () => {
  await using stack = new AsyncDisposableStack();
  const last = stack.use(await startNeighbour((_request, response) => response.end()));
  const first = await startHop(stack, 'first', last.url);
  for (const text of ['soon', '-1', '1.5', '1e9']) {
    const answer = await request(first.url, { headers: { 'Deadline-Ms': text } });
    expect([text, answer.statusCode]).toEqual([text, 400]);
    expect(await answer.body.json()).toMatchObject({ errors: [{ field: 'Deadline-Ms' }] });
  }
  await request(first.url, { headers: { 'Deadline-Ms': '999999999' } });
  expect(first.seen[0]).toBeLessThanOrEqual(5_000);
});

test('a callee is given less than its caller has, and never less than nothing', () => {
  const deadline = newDeadline(1_000);
  expect(shrink(deadline, 400).leftMs()).toBeLessThanOrEqual(600);
  expect(shrink(deadline, 2_000).leftMs()).toBe(0);
});
