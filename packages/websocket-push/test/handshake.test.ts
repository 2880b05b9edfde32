import { connect } from 'node:net';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { PATHS, PROTOCOL } from '../protocol.ts';
import { MemoryStore } from '../store.ts';
import { openSocket, post, startRoom, ticketOf } from './room.ts';

test('a login, a ticket, and the socket is open: the protocol is named, compression is not', async () => {
  await using _leaks = noLeaks();
  await using room = await startRoom();
  await using ann = await openSocket(room.url, { name: 'ann' });
  expect(await ann.next('welcome')).toMatchObject({ user: 'ann' });
  expect([ann.ws.protocol, ann.ws.extensions]).toEqual([PROTOCOL, '']);
});

test('a page of another origin is refused with 403, whatever ticket it has', async () => {
  await using room = await startRoom();
  await using stranger = await openSocket(room.url, { origin: 'https://evil.example' });
  expect(await stranger.end()).toMatch(/^403 application\/problem\+json/);
  await using sandboxed = await openSocket(room.url, { origin: 'null' });
  expect(await sandboxed.end()).toMatch(/^403 /);
  await using own = await openSocket(room.url, { origin: room.url });
  await own.next('welcome');
});

test('with an allow-list, pages of these origins may connect, and of no other', async () => {
  await using room = await startRoom({ origins: ['https://chat.example'] });
  await using listed = await openSocket(room.url, { origin: 'https://chat.example' });
  await listed.next('welcome');
  await using own = await openSocket(room.url, { origin: room.url });
  expect(await own.end()).toMatch(/^403 /);
});

test.each([
  ['no ticket', ''],
  ['a made-up ticket', 'AAAAAAAAAAAAAAAAAAAAAA'],
])('%s is 401', async (_what, ticket) => {
  await using room = await startRoom();
  await using socket = await openSocket(room.url, { ticket });
  expect(await socket.end()).toMatch(/^401 application\/problem\+json .*ticket/);
});

test('a ticket opens one socket, even when two ask at once', async () => {
  await using room = await startRoom();
  const ticket = await ticketOf(room.url);
  await using first = await openSocket(room.url, { ticket });
  await using second = await openSocket(room.url, { ticket });
  const answers = await Promise.all([first.frames.next(), second.frames.next()]);
  expect(answers.filter((answer) => answer.includes('"welcome"'))).toHaveLength(1);
  expect(answers.filter((answer) => answer.startsWith('401 '))).toHaveLength(1);
});

test('a ticket that has expired is 401', async () => {
  await using room = await startRoom({ ticketMs: 1 });
  const ticket = await ticketOf(room.url);
  const issuedAt = Date.now();
  await until('a millisecond later', () => Date.now() > issuedAt + 1);
  await using socket = await openSocket(room.url, { ticket });
  expect(await socket.end()).toMatch(/^401 /);
});

test('no version of the protocol in common is 400, and names the one that is spoken', async () => {
  await using room = await startRoom();
  for (const protocol of ['chat.v9', '']) {
    await using socket = await openSocket(room.url, { protocol });
    expect(await socket.end()).toMatch(/^400 .*"expected":"chat.v1"/);
  }
});

test('beyond the limits: 503 for everybody, 429 for a user; and a place that was left is free', async () => {
  await using room = await startRoom({ maxConnections: 2, maxPerUser: 1 });
  {
    await using ann = await openSocket(room.url, { name: 'ann' });
    await ann.next('welcome');
    await using annAgain = await openSocket(room.url, { name: 'ann' });
    expect(await annAgain.end()).toMatch(/^429 /);
    await using bob = await openSocket(room.url, { name: 'bob' });
    await bob.next('welcome');
    await using carol = await openSocket(room.url, { name: 'carol' });
    expect(await carol.end()).toMatch(/^503 /);
  }
  await until('both have left', async () => (await room.metric('ws_open_connections')) === 0);
  await using ann = await openSocket(room.url, { name: 'ann' });
  await ann.next('welcome');
  expect([
    await room.metric('ws_refused_total{status="429"}'),
    await room.metric('ws_refused_total{status="503"}'),
  ]).toEqual([1, 1]);
});

test('a refused handshake gets a whole response, and its socket is closed', async () => {
  await using room = await startRoom();
  const { hostname, port } = new URL(room.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.end(
    `GET ${PATHS.chat} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat.v1\r\n\r\n`,
  );
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  expect(answer).toMatch(/^HTTP\/1.1 401 Unauthorized\r\n/);
  expect(answer).toMatch(/\r\nConnection: close\r\n/);
  expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ status: 401 });
});

test('a client that leaves while its ticket is looked up takes nothing down', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const store = new (class extends MemoryStore {
    override async take(key: string) {
      asked.resolve();
      await answer.promise;
      return super.take(key);
    }
  })();
  await using room = await startRoom({ store });
  const ticket = await ticketOf(room.url);
  const { hostname, port } = new URL(room.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.write(
    `GET ${PATHS.chat}?ticket=${ticket} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat.v1\r\n\r\n',
  );
  await asked.promise;
  socket.resetAndDestroy();
  await until('the server has noticed', () => room.server.connections === 0);
  answer.resolve();
  expect(await room.metric('ws_open_connections')).toBe(0);
});

test('what plain HTTP gets', async () => {
  await using room = await startRoom();
  const notUpgraded = await fetch(`${room.url}${PATHS.chat}`);
  expect([notUpgraded.status, notUpgraded.headers.get('upgrade')]).toEqual([426, 'websocket']);
  const nobody = await post(`${room.url}${PATHS.login}`, { body: { name: 'ann:bob' } });
  expect([nobody.status, ((await nobody.json()) as { errors: unknown }).errors]).toMatchObject([
    400,
    [{ field: '/name' }],
  ]);
  const noSession = await post(`${room.url}${PATHS.tickets}`, { session: 'nonsense' });
  expect([noSession.status, noSession.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
  for (const response of [notUpgraded, noSession]) await response.body?.cancel();
});
