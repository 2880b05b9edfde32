import { once } from 'node:events';
import { connect } from 'node:net';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { post, startRestaurant } from './restaurant.ts';

interface Problem {
  status: number;
  title: string;
  detail?: string;
  errors?: { field: string }[];
}

/** Reads a refusal, and checks what holds for every one of them. */
async function refusal(answer: Promise<Response>): Promise<{ response: Response; problem: Problem }> {
  const response = await answer;
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  const text = await response.text();
  expect(text).not.toMatch(/\.[jt]s\b|\\n/); // no stack
  const problem = JSON.parse(text) as Problem;
  expect(problem.status).toBe(response.status);
  return { response, problem };
}

/** Sends bytes that no HTTP client would, and returns what comes back until the server hangs up. */
async function raw(url: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8');
  let answer = '';
  socket.on('data', (chunk: string) => (answer += chunk));
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

requirePostgres()('a refusal says what would have been right', () => {
  test('404 for what is not there', async () => {
    await using restaurant = await startRestaurant();
    const unknown = '0190d4a5-0000-7000-8000-000000000000';
    for (const path of ['/menu/stone', `/orders/${unknown}`, '/orders/not-a-uuid', '/nothing']) {
      expect((await refusal(fetch(`${restaurant.url}${path}`))).problem.status).toBe(404);
    }
  });

  test('405 with Allow for the wrong method', async () => {
    await using restaurant = await startRestaurant();
    const allows = { '/menu': 'GET, HEAD', '/menu/pizza': 'GET, HEAD', '/orders': 'POST', '/orders/1': 'GET, HEAD' };
    for (const [path, allow] of Object.entries(allows)) {
      const { response } = await refusal(fetch(`${restaurant.url}${path}`, { method: 'DELETE' }));
      expect([response.status, response.headers.get('Allow')]).toEqual([405, allow]);
    }
  });

  test('406 for who does not take JSON', async () => {
    await using restaurant = await startRestaurant();
    for (const accept of ['text/html', 'application/json;q=0']) {
      const { problem } = await refusal(fetch(`${restaurant.url}/menu`, { headers: { Accept: accept } }));
      expect(problem.status).toBe(406);
    }
    const { status } = await fetch(`${restaurant.url}/menu`, { headers: { Accept: 'text/html, application/*;q=0.1' } });
    expect(status).toBe(200);
  });

  test('415 with Accept for a body that is not JSON', async () => {
    await using restaurant = await startRestaurant();
    const { response } = await refusal(post(restaurant.url, 'table=7', { headers: { 'Content-Type': 'text/plain' } }));
    expect([response.status, response.headers.get('Accept')]).toEqual([415, 'application/json']);
  });

  test('413 for a body that is too large', async () => {
    await using restaurant = await startRestaurant();
    expect((await refusal(post(restaurant.url, { note: 'x'.repeat(17_000) }))).problem.status).toBe(413);
  });

  test('400 for what is not JSON', async () => {
    await using restaurant = await startRestaurant();
    expect((await refusal(post(restaurant.url, '{"table":'))).problem.status).toBe(400);
  });

  test('400 that names each field that is wrong, and nothing is written', async () => {
    await using restaurant = await startRestaurant();
    const { problem } = await refusal(
      post(restaurant.url, { table: '7', items: [{ dish: 'pizza', quantity: 1 }, { dish: 4, quantity: 2.5 }, null] }),
    );
    expect(problem.errors?.map(({ field }) => field)).toEqual([
      '/table',
      '/items/1/dish',
      '/items/1/quantity',
      '/items/2/dish',
      '/items/2/quantity',
    ]);
    const stone = {
      table: 1,
      items: [
        { dish: 'pizza', quantity: 1 },
        { dish: 'stone', quantity: 1 },
      ],
    };
    expect((await refusal(post(restaurant.url, stone))).problem).toMatchObject({
      status: 400,
      errors: [{ field: '/items/1/dish' }],
    });
    expect(await restaurant.orders()).toBe(0);
  });

  test('400 for two Host fields, and for a body of two lengths', async () => {
    await using restaurant = await startRestaurant();
    const host = 'Host: a\r\n';
    const close = 'Connection: close\r\n';
    const twoHosts = await raw(restaurant.url, `GET /menu HTTP/1.1\r\n${host}Host: b\r\n${close}\r\n`);
    expect(twoHosts).toMatch(/^HTTP\/1.1 400 /);
    const lengths = 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n';
    const twoLengths = await raw(restaurant.url, `POST /orders HTTP/1.1\r\n${host}${lengths}\r\n0\r\n\r\n`);
    expect(twoLengths).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw(restaurant.url, `GET /menu HTTP/1.1\r\n${host}${close}\r\n`)).toMatch(/^HTTP\/1.1 200 /);
  });

  test('408 for who sends the head of a request too slowly, or its body', async () => {
    await using restaurant = await startRestaurant({ headersMs: 100, requestMs: 60_000 });
    const head = 'POST /orders HTTP/1.1\r\nHost: a\r\n';
    expect(await raw(restaurant.url, head)).toMatch(/^HTTP\/1.1 408 /);
    await using other = await startRestaurant({ headersMs: 100, requestMs: 100 });
    const body = `${head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{`;
    expect(await raw(other.url, body)).toMatch(/^HTTP\/1.1 408 /);
  });
});
