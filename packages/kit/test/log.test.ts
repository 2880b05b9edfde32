/** What a server writes about its requests, read from its stderr. */
import { connect, constants, createServer } from 'node:http2';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import winston from 'winston';
import { listen } from '../listen.ts';
import { logRequests } from '../log.ts';
import { startProcess } from '../testing/processes.ts';
import { until } from '../testing/until.ts';
import { dial } from './fixtures/dial.ts';
import { startApi } from './fixtures/start-api.ts';

let api: Awaited<ReturnType<typeof startApi>>;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

test('each request is one line, with its trace, status and duration', async () => {
  await fetch(`${api.url}/items/7`, { headers: { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` } });
  const line = await api.request('/items/7');
  expect(line).toEqual({
    level: 'info',
    message: 'request',
    service: 'api',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    method: 'GET',
    path: '/items/7',
    status: 200,
    durationMs: expect.any(Number),
    aborted: false,
    traceId: TRACE_ID,
  });
  await fetch(`${api.url}/items/8`);
  await api.request('/items/8');
  expect(api.logged.items.filter(({ path }) => path === '/items/7')).toHaveLength(1);
});

test('the status is the one that was sent', async () => {
  await fetch(`${api.url}/nowhere`);
  expect(await api.request('/nowhere')).toMatchObject({ status: 404, aborted: false });
});

test('an answer without a body is not taken for an aborted one', async () => {
  await fetch(`${api.url}/items/head`, { method: 'HEAD' });
  expect(await api.request('/items/head')).toMatchObject({ method: 'HEAD', status: 200, aborted: false });
});

test('neither headers nor query nor body are in it', async () => {
  await fetch(`${api.url}/orders?token=hunter2`, {
    method: 'POST',
    headers: { Authorization: 'Bearer hunter2', Cookie: 'session=hunter2', 'Content-Type': 'application/json' },
    body: '{"quantity":1,"card":"hunter2"}',
  });
  expect(await api.request('/orders')).toMatchObject({ method: 'POST', status: 201 });
  expect(api.output()).not.toContain('hunter2');
});

test('a client that leaves an endless answer has aborted', async () => {
  const leave = new AbortController();
  const response = await fetch(`${api.url}/endless`, { signal: leave.signal });
  expect(response.status).toBe(200);
  leave.abort();
  expect(await api.request('/endless')).toMatchObject({ aborted: true });
});

test('a client that leaves while a big answer is underway has aborted, though the server had ended', async () => {
  await using client = await dial(api.url, 'GET /big HTTP/1.1\r\nHost: test\r\n\r\n');
  await until('its beginning', () => client.received().length > 0);
  client.socket.resetAndDestroy();
  expect(await api.request('/big')).toMatchObject({ status: 200, aborted: true });
});

test('an error is shown with its message, stack and cause', async () => {
  await fetch(`${api.url}/boom`);
  const { error } = await api.logged.find('the error', ({ message }) => message === 'unexpected');
  expect(error).toMatchObject({
    message: 'the password is hunter2',
    stack: expect.stringMatching(/^Error: the password is hunter2\n {4}at .*api\.ts:\d+/),
    cause: { message: 'the disk is full', stack: expect.stringContaining('api.ts') },
  });
});

test('LOG_LEVEL says how much is written', async () => {
  await using quiet = await startApi({ LOG_LEVEL: 'error' });
  await fetch(`${quiet.url}/items/7`);
  await fetch(`${quiet.url}/boom`);
  await quiet.logged.next();
  expect(quiet.logged.items.map(({ level }) => level)).toEqual(['error']);
});

test('a LOG_LEVEL that is none is a mistake, not silence', async () => {
  await using child = startProcess(new URL('./fixtures/api.ts', import.meta.url), { env: { LOG_LEVEL: 'warning' } });
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.output()).toBe('LOG_LEVEL=warning: expected one of error, warn, info, http, verbose, debug, silly');
});

test('over HTTP/2, too, a stream that was reset is told from one that was answered', async () => {
  const lines: { path: string; aborted: boolean }[] = [];
  const output = new Writable({
    objectMode: true,
    write: (line, _encoding, done) => {
      lines.push(line);
      done();
    },
  });
  const log = winston.createLogger({ transports: [new winston.transports.Stream({ stream: output })] });
  const server = createServer((request, response) => {
    logRequests(log)(request as never, response as never, () => {
      response.write('begun');
      if (request.url === '/whole') response.end();
    });
  });
  await using listening = await listen(server);
  const session = connect(listening.url);
  await using _session = { [Symbol.asyncDispose]: async () => session.destroy() };
  session.request({ ':path': '/whole' }).resume();
  const cut = session.request({ ':path': '/cut' });
  cut.on('error', () => {}).once('data', () => cut.close(constants.NGHTTP2_CANCEL));
  await until('two lines', () => lines.length === 2);
  expect(lines).toContainEqual(expect.objectContaining({ path: '/whole', aborted: false }));
  expect(lines).toContainEqual(expect.objectContaining({ path: '/cut', aborted: true }));
});
