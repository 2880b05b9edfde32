/** What the textbook's sidecar does on the wire that the demo does not show: the app here is a socket that writes down what it gets. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { PassThrough } from 'node:stream';
import { until } from '@patterns/kit/testing/until';
import { beforeAll, expect, test } from 'vitest';
import winston from 'winston';
import { startNaiveSidecar } from '../naive.ts';
import { ask } from './contract-client.ts';

let url = '';
let received = '';

beforeAll(async () => {
  const app = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (/\r\n\r\n/.test(received)) socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n');
    });
  }).listen(0, '127.0.0.1');
  await once(app, 'listening');
  const nowhere = new winston.transports.Stream({ stream: new PassThrough().resume() });
  const sidecar = await startNaiveSidecar(`http://127.0.0.1:${(app.address() as AddressInfo).port}`, 0, nowhere);
  url = sidecar.url;
  return async () => {
    await sidecar.close();
    app.close();
  };
});

test('sends a chunked body on with both framing headers: where the app believes the other one, a request is smuggled', async () => {
  received = '';
  await ask(url, '/', { method: 'POST', body: ['one', 'two'] });
  await until('the body', () => received.includes('onetwo'));
  expect(received).toMatch(/^transfer-encoding: chunked/im);
  expect(received).toMatch(/^content-length: 6/im);
});

test('passes on what concerns one connection only', async () => {
  received = '';
  const headers = { Connection: 'X-Debug', 'X-Debug': '1', TE: 'trailers', 'Proxy-Authorization': 'Basic c2VjcmV0' };
  await ask(url, '/', { headers });
  for (const line of [/^x-debug: 1/im, /^te: trailers/im, /^proxy-authorization: Basic/im])
    expect(received).toMatch(line);
});

test('takes a whole body into memory, and none over 1 MB', async () => {
  received = '';
  const { status } = await ask(url, '/', { method: 'POST', body: Buffer.alloc(1_100_000) });
  expect(status).toBe(413);
  expect(received).toBe('');
});
