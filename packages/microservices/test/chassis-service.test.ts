import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@patterns/kit/testing/until';
import { Agent, request } from 'undici';
import { expect, test } from 'vitest';
import { serve } from '../chassis/service.ts';
import { type EndedSpan, recordSpans, spanOf } from '../chassis/spans.ts';
import { log } from './stage.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = `00-${TRACE}-b7ad6b7169203331-01`;

test('a request is measured and traced under the name of its route', async () => {
  const spans: EndedSpan[] = [];
  recordSpans((span) => void spans.push(span));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => recordSpans(undefined));
  const service = stack.use(
    await serve({
      name: 'order',
      log,
      routes: (app) =>
        void app.get('/orders/:id', (_request, response) => void response.json(spanOf(response).traceparent)),
    }),
  );
  const told = await (await request(`${service.url}/orders/7`, { headers: { traceparent: CALLER } })).body.json();
  await until('the answer is over', () => spans.length > 0);
  expect(spans).toMatchObject([
    {
      name: 'GET /orders/:id',
      kind: 'server',
      trace: { traceId: TRACE, parentId: 'b7ad6b7169203331' },
      attributes: { 'http.response.status_code': 200 },
    },
  ]);
  expect(told).toBe(`00-${TRACE}-${spans[0]!.trace.spanId}-01`);
  const metrics = await (await request(`${service.url}/metrics`)).body.text();
  expect(metrics).toContain(
    'http_request_duration_seconds_count{service="order",method="GET",route="/orders/:id",status="200"} 1',
  );
});

test("at the edge a stranger's trace is not taken over", async () => {
  await using service = await serve({
    name: 'gateway',
    log,
    isEdge: true,
    routes: (app) => void app.get('/', (_request, response) => void response.json(spanOf(response).traceId)),
  });
  const traceId = await (await request(service.url, { headers: { traceparent: CALLER } })).body.json();
  expect(traceId).not.toBe(TRACE);
});

test('not ready is not dead', async () => {
  let isReady = true;
  await using service = await serve({ name: 'order', log, ready: () => isReady, routes: () => {} });
  const status = async (path: string) => {
    const answer = await request(service.url + path);
    await answer.body.dump();
    return answer.statusCode;
  };
  expect([await status('/live'), await status('/ready')]).toEqual([200, 200]);
  isReady = false;
  expect([await status('/live'), await status('/ready')]).toEqual([200, 503]);
});

test('told to end, it answers what is in flight, and nobody new', async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const service = await serve({
    name: 'order',
    log,
    routes: (app) => {
      app.get('/', async (_request, response) => {
        asked.resolve();
        await go.promise;
        response.json('done');
      });
    },
  });
  const answer = request(service.url);
  await asked.promise;
  const closed = service.close();
  await expect(request(service.url, { dispatcher: new Agent() })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  go.resolve();
  expect(await (await answer).body.json()).toBe('done');
  await closed;
});

test('on a Unix socket only this user can reach it, and what a dead process left there is no obstacle', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = stack.adopt(await mkdtemp(join(tmpdir(), 'chassis-')), (path) => rm(path, { recursive: true }));
  const socketPath = join(directory, 'payment.sock');
  const options = { name: 'payment', log, socketPath, routes: () => {} };
  const { execFileSync } = process.getBuiltinModule('node:child_process');
  // Killed while it listens, it cannot remove the file.
  const listenAndDie = `require('net').createServer().listen('${socketPath}', () => process.kill(process.pid, 'SIGKILL'))`;
  expect(() => execFileSync(process.execPath, ['-e', listenAndDie])).toThrow();
  const service = stack.use(await serve(options));
  expect(service.url).toBe(`unix:${socketPath}`);
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  const dispatcher = new Agent({ connect: { socketPath } });
  const answer = await request('http://payment/live', { dispatcher });
  expect(await answer.body.json()).toEqual({ status: 'alive' });
  await dispatcher.close();
});
