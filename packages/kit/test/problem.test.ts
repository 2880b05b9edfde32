/** Errors as a client gets them, from a real server in a process of its own. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dial } from './fixtures/dial.ts';
import { startApi } from './fixtures/start-api.ts';

let api: Awaited<ReturnType<typeof startApi>>;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

/** Asks, and checks what is true of every problem. */
async function problem(path: string, init?: RequestInit) {
  const response = await fetch(api.url + path, init);
  const text = await response.text();
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  expect(response.headers.get('ETag')).toBeNull();
  expect(text).not.toMatch(/node_modules|node:internal|\.ts:\d/);
  const body = JSON.parse(text);
  expect(body.status).toBe(response.status);
  return { body, headers: response.headers };
}

const order = (body: string) => ({ method: 'POST', body, headers: { 'Content-Type': 'application/json' } });

test('what the caller did wrong is said field by field', async () => {
  const { body } = await problem('/orders', order('{"quantity":"many"}'));
  expect(body).toEqual({
    title: 'Bad Request',
    status: 400,
    detail: 'the order cannot be understood',
    errors: [{ field: '/quantity', expected: 'an integer' }],
  });
});

test('what nothing is known of is not in the body at all', async () => {
  const { body, headers } = await problem('/busy');
  expect(body).toEqual({ title: 'Service Unavailable', status: 503 });
  expect(headers.get('Retry-After')).toBe('5');
});

test('a body that is no JSON is 400, and says where', async () => {
  const { body } = await problem('/orders', order('{"quantity":'));
  expect(body).toMatchObject({ title: 'Bad Request', status: 400, detail: expect.stringContaining('JSON') });
});

test('a body that is too large is 413', async () => {
  const { body } = await problem('/orders', order(`"${'x'.repeat(2_000)}"`));
  expect(body).toEqual({ title: 'Payload Too Large', status: 413, detail: 'request entity too large' });
});

test('a path that cannot be decoded is 400', async () => {
  expect((await problem('/items/%ff')).body.status).toBe(400);
});

test('what no route answers is 404, and its query is not repeated', async () => {
  const { body } = await problem('/nowhere?token=hunter2');
  expect(body).toEqual({ title: 'Not Found', status: 404, detail: 'nothing is at /nowhere' });
});

test('a method that the route does not know is 405, with those it does', async () => {
  const { body, headers } = await problem('/orders', { method: 'DELETE' });
  expect(body).toEqual({ title: 'Method Not Allowed', status: 405, detail: 'DELETE is not allowed here' });
  expect(headers.get('Allow')).toBe('POST');
});

test('a problem that answers HEAD has no body', async () => {
  await using client = await dial(api.url, 'HEAD /nowhere HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
  expect(await client.closed).toMatch(/^HTTP\/1\.1 404 [^{]*Content-Length: \d+\r\n[^{]*\r\n\r\n$/);
});

test('what went wrong inside is not told, but logged under the trace of the request', async () => {
  const { body } = await problem('/boom');
  expect(body).toEqual({ title: 'Internal Server Error', status: 500 });
  const unexpected = await api.logged.find('the error', ({ message }) => message === 'unexpected');
  const { traceId } = await api.request('/boom');
  expect(unexpected).toMatchObject({ level: 'error', traceId, error: { message: 'the password is hunter2' } });
});

test('an error with a status of 5xx, of another service say, is ours all the same', async () => {
  expect((await problem('/rejects')).body).toEqual({ title: 'Internal Server Error', status: 500 });
  const unexpected = await api.logged.find('the error', ({ message }) => message === 'unexpected');
  expect(unexpected).toMatchObject({ error: { message: 'no such key' } });
});

test('a problem that was thrown on purpose is not logged as an error', async () => {
  await problem('/busy');
  const { traceId } = await api.request('/busy');
  expect(api.logged.items.filter((line) => line.traceId === traceId && line.level === 'error')).toEqual([]);
});

test('headers of the answer that failed do not stay with the problem; others do', async () => {
  const { headers } = await problem('/cached');
  expect(Object.fromEntries(headers)).toMatchObject({ vary: 'Accept' });
  expect([...headers.keys()]).not.toContain('cache-control');
  expect([...headers.keys()]).not.toContain('content-encoding');
});

test('without Express it is the same', async () => {
  const { body } = await problem('/bare?token=hunter2');
  expect(body).toEqual({ title: 'Internal Server Error', status: 500 });
  const { traceId } = await api.request('/bare');
  await api.logged.find('the error', (line) => line.message === 'unexpected' && line.traceId === traceId);
});

test('an error after the head was sent cuts the connection: half an answer is not taken for a whole', async () => {
  const response = await fetch(`${api.url}/late`);
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow('terminated');
  expect(await api.logged.find('the error', ({ message }) => message === 'unexpected')).toMatchObject({
    error: { message: 'no second half' },
  });
});
