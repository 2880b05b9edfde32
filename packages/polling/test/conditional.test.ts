import { once } from 'node:events';
import { connect } from 'node:net';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { describe, expect, test } from 'vitest';
import { isCurrent } from '../conditional.ts';
import { UPDATES_PATH } from '../protocol.ts';
import { change, startDesk } from './desk.ts';

describe('If-None-Match', () => {
  test.each([
    ['the tag itself', '"3.2"', true],
    ['a list that holds it', '"1.2", "3.2"', true],
    ['a weak one: a proxy compressed the body', 'W/"3.2"', true],
    ['a list with commas inside a tag', '"a,b","3.2"', true],
    ['anything', ' * ', true],
    ['another tag', '"2.2"', false],
    ['without quotes', '3.2', false],
    ['nothing', undefined, false],
  ])('%s', (_what, field, expected) => {
    expect(isCurrent(field, '"3.2"')).toBe(expected);
  });
});

test('If-Modified-Since does not count beside If-None-Match [RFC 9110 §13.2.2]', async () => {
  await using desk = await startDesk();
  await desk.feed.append('7', change(1));
  const later = new Date(Date.now() + 3_600_000).toUTCString();
  const answer = await desk.get('/orders/7', { 'If-None-Match': '"0.0"', 'If-Modified-Since': later });
  expect(answer.status).toBe(200);
});

/** Speaks HTTP on a bare socket, so that every byte of an answer is seen. */
async function openSocket(url: string) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  const answers = EventQueue.from(() => socket as AsyncIterable<Buffer>);
  return {
    async ask(...lines: string[]) {
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      return String(await answers.next());
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await answers[Symbol.asyncDispose]();
    },
  };
}

test('a poll without news costs at most 120 bytes, says all that a 304 must, and leaves the connection open', async () => {
  await using desk = await startDesk({ intervalS: 60 });
  const { id } = await desk.feed.append('7', change(1));
  await using socket = await openSocket(desk.url);
  for (let poll = 1; poll <= 2; poll++) {
    const answer = await socket.ask(`GET ${UPDATES_PATH}?after=${id} HTTP/1.1`, 'Host: a', `If-None-Match: "${id}.60"`);
    expect(answer).toMatch(/^HTTP\/1\.1 304 \r\n/);
    expect(answer).toMatch(/^Date: .* GMT\r$/m);
    expect(answer).toContain(`ETag: "${id}.60"\r\n`);
    expect(answer).toContain('Cache-Control: private, no-cache\r\n');
    expect(answer, 'no body').toMatch(/\r\n\r\n$/);
    expect(Buffer.byteLength(answer), answer).toBeLessThanOrEqual(120);
  }
});

test('a client of HTTP/1.0 is told what becomes of its connection: there it is not a matter of course', async () => {
  await using desk = await startDesk();
  await desk.feed.append('7', change(1));
  await using socket = await openSocket(desk.url);
  const answer = await socket.ask('GET /orders/7 HTTP/1.0', 'Connection: keep-alive', 'If-None-Match: "1.0"');
  expect(answer).toMatch(/^HTTP\/1\.1 304 /);
  expect(answer).toContain('Connection: close\r\n');
});
