/** The app is away, dies, hangs, talks nonsense: whose fault it was, how long it takes, and who is asked again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { until, within } from '@patterns/kit/testing/until';
import { expect } from 'vitest';
import type { Clauses } from './contract.ts';
import { answerOk, sendJson, startApp, startRawApp } from './contract-app.ts';
import { type Answer, ask, rawClient } from './contract-client.ts';

/** Nobody is asked twice, and nobody is left alone: what is looked at is the single failure. */
const ONCE = { retry: { ratio: 0, reserve: 0 }, breaker: { maxFailures: 1_000 } };

function expectProblem({ status, headers, body }: Answer, expected: number, error: string): void {
  expect({ status, proxyStatus: headers['proxy-status'] }).toEqual({
    status: expected,
    proxyStatus: `sidecar; error=${error}`,
  });
  expect(headers['content-type']).toBe('application/problem+json');
  expect(JSON.parse(body)).toMatchObject({ status: expected });
}

export const failures: Clauses = {
  'nobody there': [
    '502 connection_refused, whether the socket is missing or the port is closed',
    async (rig) => {
      for (const upstream of ['unix:/nowhere/app.sock', 'http://127.0.0.1:1']) {
        const { url } = await rig.startBefore(upstream, ONCE);
        expectProblem(await ask(url), 502, 'connection_refused');
        expectProblem(await ask(url, '/', { method: 'POST', body: ['x'] }), 502, 'connection_refused');
      }
    },
  ],
  'no answer': [
    '502 connection_terminated, when the app closes the connection instead of answering, the body read or not',
    async (rig) => {
      const { url } = await rig.start((request) => void request.socket.destroy(), ONCE);
      expectProblem(await ask(url), 502, 'connection_terminated');
      expectProblem(await ask(url, '/', { method: 'POST', body: 'x'.repeat(1_000) }), 502, 'connection_terminated');
    },
  ],
  'no HTTP': [
    '502 http_protocol_error, when what the app answers is not HTTP',
    async (rig) => {
      const app = rig.use(await startRawApp((socket) => void socket.write('what?\r\n\r\n')));
      const { url } = await rig.startBefore(app.upstream, ONCE);
      expectProblem(await ask(url), 502, 'http_protocol_error');
    },
  ],
  'connect timeout': [
    '504 connection_timeout, when the app does not accept the connection',
    async (rig) => {
      const port = await startDeafApp(rig);
      const { url } = await rig.startBefore(`http://127.0.0.1:${port}`, { ...ONCE, timeouts: { connectMs: 300 } });
      expectProblem(await ask(url), 504, 'connection_timeout');
    },
  ],
  'header timeout': [
    '504 http_response_timeout, when the app takes the request and is silent; the request at the app is ended',
    async (rig) => {
      const { app, url } = await rig.start((request) => void request.resume(), {
        ...ONCE,
        timeouts: { headersMs: 300 },
      });
      expectProblem(await ask(url), 504, 'http_response_timeout');
      expectProblem(await ask(url, '/', { method: 'POST', body: 'x' }), 504, 'http_response_timeout');
      expect(app.requests).toHaveLength(2);
      await until('both connections are gone at the app', () => app.open.size === 0);
    },
  ],
  'idle timeout': [
    'an app that falls silent in the middle of its answer is given up: the connection is cut',
    async (rig) => {
      const { app, url } = await rig.start((_request, response) => void response.write('half'), {
        timeouts: { idleMs: 300 },
      });
      using client = await rawClient(url);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      const received = await within('the cut', 5_000, client.closed());
      expect(received).toMatch(/half/);
      expect(received).not.toMatch(/\r\n0\r\n\r\n$/);
      await until('the connection is gone at the app', () => app.open.size === 0);
    },
  ],
  'total timeout': [
    'an answer that drips is ended when its time is over; an event stream may last',
    async (rig) => {
      const { url } = await rig.start(
        (request, response) => {
          if (request.url === '/events') response.setHeader('Content-Type', 'text/event-stream');
          const dripping = setInterval(() => response.write('.'), 30);
          response.on('close', () => clearInterval(dripping));
        },
        { timeouts: { totalMs: 500 } },
      );
      using events = await rawClient(url);
      events.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
      await events.wait(/\.\r\n/);
      using client = await rawClient(url);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await within('the cut', 5_000, client.closed());
      const before = events.socket.bytesRead;
      await until('the stream goes on', () => events.socket.bytesRead > before + 50);
    },
  ],
  'slow is not failed': [
    'bodies may take longer than the header timeout, in both directions, as long as something moves',
    async (rig) => {
      const { url } = await rig.start(
        (request, response) => {
          let pieces = 0;
          request.resume().on('end', () => {
            const dripping = setInterval(() => {
              if (++pieces < 6) return void response.write('down');
              clearInterval(dripping);
              response.end('!');
            }, 150);
          });
        },
        { ...ONCE, timeouts: { headersMs: 600, idleMs: 600 } },
      );
      using client = await rawClient(url);
      client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n');
      for (let n = 0; n < 6; n++) {
        client.write('up');
        await delay(150);
      }
      expect(await client.wait(/!\r\n/)).toMatch(/^HTTP\/1\.1 200 /);
    },
  ],
  'a second attempt': [
    'what is idempotent and has no body is asked again, once, when the app broke off without an answer',
    async (rig) => {
      let isFirst = true;
      const { app, url } = await rig.start((request, response) => {
        if (isFirst) request.socket.destroy();
        else answerOk(request, response);
        isFirst = !isFirst;
      });
      for (const method of ['GET', 'DELETE']) expect((await ask(url, '/', { method })).status).toBe(200);
      expect(app.requests).toEqual(['GET /', 'GET /', 'DELETE /', 'DELETE /']);
      expect((await ask(url, '/post', { method: 'POST' })).status).toBe(502);
      isFirst = true;
      expect((await ask(url, '/put', { method: 'PUT', body: 'once' })).status).toBe(502);
      expect(app.requests.slice(4)).toEqual(['POST /post', 'PUT /put']);
    },
  ],
  'no second attempt after a timeout': [
    'an app that is slow is not asked twice for what it cannot do once; nor is one that has answered, with whatever',
    async (rig) => {
      const { app, url } = await rig.start(
        (request, response) => {
          if (request.url === '/503') response.writeHead(503, { 'Retry-After': '7' }).end();
        },
        { timeouts: { headersMs: 300 } },
      );
      expect((await ask(url, '/hang')).status).toBe(504);
      expect(await ask(url, '/503')).toMatchObject({ status: 503, headers: { 'retry-after': '7' } });
      expect(app.requests).toEqual(['GET /hang', 'GET /503']);
    },
  ],
  'retry budget': [
    'when everything fails, second attempts stop at the budget: 20 requests are 20 and the reserve and a tenth, not 40',
    async (rig) => {
      const { app, url } = await rig.start((request) => void request.socket.destroy(), {
        retry: { ratio: 0.1, reserve: 3 },
        breaker: { maxFailures: 1_000 },
      });
      for (let n = 0; n < 20; n++) expect((await ask(url)).status).toBe(502);
      expect(app.requests.length).toBeGreaterThanOrEqual(23);
      expect(app.requests.length).toBeLessThanOrEqual(25);
    },
  ],
  breaker: [
    'after failures in a row the app is left alone: 503 with Retry-After at once; then one probe, and traffic if it is answered',
    async (rig) => {
      let isUp = false;
      const held: (() => void)[] = [];
      const { app, url } = await rig.start(
        (request, response) => {
          if (!isUp) request.socket.destroy();
          else held.push(() => sendJson(response, 'back'));
        },
        { retry: { ratio: 0, reserve: 0 }, breaker: { maxFailures: 3, openMs: 700 } },
      );
      for (let n = 0; n < 3; n++) expect((await ask(url)).status).toBe(502);
      expect(app.requests).toHaveLength(3);
      const refused = await ask(url);
      expectProblem(refused, 503, 'destination_unavailable');
      expect(refused.headers['retry-after']).toBe('1');
      expect(app.requests).toHaveLength(3);
      // The probe fails: open again.
      await delay(750);
      expect((await ask(url)).status).toBe(502);
      expect((await ask(url)).status).toBe(503);
      expect(app.requests).toHaveLength(4);
      // Of several that come at once, one is the probe.
      isUp = true;
      await delay(750);
      const asked = Promise.all([1, 2, 3].map(() => ask(url)));
      await until('the probe is at the app', () => held.length > 0);
      const others = Promise.all([ask(url), ask(url)]);
      expect((await others).map(({ status }) => status)).toEqual([503, 503]);
      held[0]?.();
      expect((await asked).map(({ status }) => String(status)).toSorted()).toEqual(['200', '503', '503']);
      const after = ask(url);
      await until('traffic', () => held.length === 2);
      held[1]?.();
      expect((await after).status).toBe(200);
    },
  ],
  'a client that leaves is no failure': [
    'clients that give up, or break off their own upload, do not open the breaker; an error status of the app does not either',
    async (rig) => {
      const { app, url } = await rig.start(
        (request, response) => {
          if (request.url === '/500') response.writeHead(500).end();
          else if (request.url === '/ok') response.end('ok');
          else request.resume();
        },
        { breaker: { maxFailures: 1 } },
      );
      for (const [n, head] of [
        'GET /hang HTTP/1.1\r\nHost: x\r\n\r\n',
        'POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx',
      ].entries()) {
        using client = await rawClient(url);
        client.write(head);
        await until('it is at the app', () => app.requests.length === n + 1);
        client.socket.destroy();
        await until('it has ended at the app', () => app.open.size === 0);
      }
      expect((await ask(url, '/500')).status).toBe(500);
      expect((await ask(url, '/ok')).status).toBe(200);
    },
  ],
  'the app comes back': [
    'as soon as it listens again it is asked again; nothing of the connections from before is in the way',
    async (rig) => {
      const first = await startApp();
      const { url } = await rig.startBefore(first.upstream, ONCE);
      expect((await ask(url)).status).toBe(200);
      await first[Symbol.asyncDispose]();
      expect((await ask(url)).status).toBe(502);
      const second = rig.use(await startApp(answerOk, first.socketPath));
      expect((await ask(url, '/', { method: 'POST', body: 'x' })).status).toBe(200);
      expect(second.requests).toEqual(['POST /']);
    },
  ],
};

/** A port on which connections are neither accepted nor refused: its process is stopped, and its queue is full. */
async function startDeafApp(rig: { use<T extends Disposable>(resource: T): T }): Promise<number> {
  const script =
    'const s=require("net").createServer().listen({port:0,host:"127.0.0.1",backlog:1},()=>console.log(s.address().port))';
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  rig.use({ [Symbol.dispose]: () => void child.kill('SIGKILL') });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());
  child.kill('SIGSTOP');
  for (let isFull = false; !isFull; ) {
    const socket: Socket = connect(port, '127.0.0.1').on('error', () => {});
    rig.use({ [Symbol.dispose]: () => void socket.destroy() });
    isFull = await within('accepted', 200, once(socket, 'connect')).then(
      () => false,
      () => true,
    );
  }
  return port;
}
