import { connect, Socket } from 'node:net';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test, vi } from 'vitest';
import { NOTICES, PATHS, RATE, ROOM } from '../protocol.ts';
import { MemoryStore } from '../store.ts';
import { notice, openSocket, startRoom, ticketOf } from './room.ts';

test('people at different servers talk: a message is acknowledged to its sender, and an event to everybody', async () => {
  const store = new MemoryStore();
  await using a = await startRoom({ store });
  await using b = await startRoom({ store, feed: a.feed });
  await using ann = await openSocket(a.url, { name: 'ann' });
  await using bob = await openSocket(b.url, { name: 'bob' });
  await Promise.all([ann.next('welcome'), bob.next('welcome')]);
  ann.say('1', 'hello');
  const [ack, event, own] = await Promise.all([ann.next('ack'), bob.next('event'), ann.next('event')]);
  expect(event).toMatchObject({ topic: ROOM, data: { type: 'said', from: 'ann', id: '1', text: 'hello' } });
  expect(ack).toEqual({ type: 'ack', id: '1', cursor: event.id });
  expect(own).toEqual(event);
});

test('a message that comes again, at another server, is acknowledged again and added once', async () => {
  await using a = await startRoom();
  await using b = await startRoom({ feed: a.feed });
  await using first = await openSocket(a.url, { name: 'ann' });
  await first.next('welcome');
  first.say('1', 'hello');
  const before = await first.next('ack');
  await using second = await openSocket(b.url, { name: 'ann' });
  await second.next('welcome');
  second.say('1', 'hello');
  expect(await second.next('ack')).toEqual(before);
  await using bob = await openSocket(b.url, { name: 'bob' });
  await bob.next('welcome');
  bob.say('1', 'another user may use the same id');
  expect((await bob.next('ack')).cursor).not.toBe(before.cursor);
  expect(await a.feed.read({ topic: ROOM })).toHaveLength(2);
});

test('a connection that was told nothing yet can still resume: the welcome has a cursor', async () => {
  await using room = await startRoom();
  await room.feed.append(NOTICES, notice('before'));
  const { cursor } = await (async () => {
    await using ann = await openSocket(room.url);
    return await ann.next('welcome');
  })();
  await room.feed.append(NOTICES, notice('meanwhile'));
  await using again = await openSocket(room.url, { after: cursor });
  expect(await again.next('event')).toMatchObject({ data: { text: 'meanwhile' } });
});

test('resumes after its cursor without gap or repetition, while events go on', async () => {
  await using room = await startRoom();
  const ids: string[] = [];
  for (let n = 0; n < 50; n++) ids.push((await room.feed.append(NOTICES, notice(`${n}`))).id);
  const opening = openSocket(room.url, { after: ids[9]! });
  for (let n = 50; n < 100; n++) ids.push((await room.feed.append(NOTICES, notice(`${n}`))).id);
  await using socket = await opening;
  for (let n = 100; n < 150; n++) ids.push((await room.feed.append(NOTICES, notice(`${n}`))).id);
  const frames = (await socket.frames.take(141)).slice(1).map((frame) => JSON.parse(frame).id);
  expect(frames).toEqual(ids.slice(10));
  await until('it hears what all hear', () => room.feed.followers === 1); // the audience, for everybody
});

test('an expired cursor gets a reset, and then everything that is left', async () => {
  await using room = await startRoom({ retain: 10 });
  const { id } = await room.feed.append(NOTICES, notice('0'));
  for (let n = 1; n <= 30; n++) await room.feed.append(NOTICES, notice(`${n}`));
  await using socket = await openSocket(room.url, { after: id });
  const types = (await socket.frames.take(12)).map((frame) => JSON.parse(frame));
  expect(types.slice(0, 2)).toMatchObject([{ type: 'welcome' }, { type: 'reset' }]);
  expect(types.slice(2).map(({ data }) => data.text)).toEqual(Array.from({ length: 10 }, (_, n) => `${21 + n}`));
});

test.each([0, 125, 126, 65_535, 65_536, 200_000])(
  'a frame is whole, whatever its length: %i bytes more',
  async (bytes) => {
    await using room = await startRoom();
    await using socket = await openSocket(room.url);
    await socket.next('welcome');
    await room.feed.append(NOTICES, notice('é'.repeat(bytes)));
    await room.feed.append(NOTICES, notice('next'));
    expect(await socket.next('event')).toMatchObject({ data: { text: 'é'.repeat(bytes) } });
    expect(await socket.next('event')).toMatchObject({ data: { text: 'next' } });
  },
);

test.each([
  ['a binary frame', Buffer.from('{}'), true, 1003],
  ['what is not JSON', 'hello', false, 1007],
  ['what is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), false, 1007],
  ['an unknown type', '{"type":"shout","id":"1","text":"x"}', false, 1008],
  ['JSON that is no object', 'null', false, 1008],
  ['a message without an id', '{"type":"say","text":"x"}', false, 1008],
  ['a message without words', '{"type":"say","id":"1","text":""}', false, 1008],
  ['a text that is too long', JSON.stringify({ type: 'say', id: '1', text: 'x'.repeat(2_001) }), false, 1008],
  ['a message beyond maxPayload', JSON.stringify({ type: 'say', id: '1', text: 'x'.repeat(17_000) }), false, 1009],
])('%s closes the connection with its code', async (_what, data, binary, code) => {
  await using room = await startRoom();
  await using socket = await openSocket(room.url);
  await socket.next('welcome');
  socket.ws.send(data, { binary });
  socket.say('2', 'what comes behind it is not taken');
  expect(Number.parseInt(await socket.end(), 10)).toBe(code);
  expect(await room.feed.read({ topic: ROOM })).toEqual([]);
});

test('a flood is closed with 1008, and what came behind it is not taken', async () => {
  await using room = await startRoom();
  await using socket = await openSocket(room.url);
  await socket.next('welcome');
  for (let n = 0; n < 500; n++) socket.say(`${n}`, 'buy');
  expect(await socket.end()).toBe('1008 too many messages');
  await until('counted', async () => (await room.metric('ws_closes_total{code="1008"}')) === 1);
  const taken = (await room.feed.read({ topic: ROOM })).length;
  expect(taken).toBeGreaterThanOrEqual(RATE.burst);
  expect(taken).toBeLessThan(100);
});

test('a session that ends while its connection is open is closed with 1008', async () => {
  await using room = await startRoom({ sessionMs: 300, pingMs: 50 });
  await using socket = await openSocket(room.url);
  expect(await socket.end()).toBe('1008 the session has ended');
});

test('a half-open peer is found in two beats; one that answers stays, and is ticked', async () => {
  await using room = await startRoom({ pingMs: 400 });
  await using proxy = await startFaultProxy(room.url);
  await using lost = await openSocket(proxy.url, { name: 'lost' });
  await using alive = await openSocket(room.url, { name: 'alive' });
  await Promise.all([lost.next('welcome'), alive.next('welcome')]);
  expect(await room.metric('ws_open_connections')).toBe(2);
  proxy.halfOpen('client'); // reset at the client's side; the server's is told nothing
  await until('it is cut off', async () => (await room.metric('ws_cut_off_total{reason="silent"}')) === 1);
  expect(await room.metric('ws_open_connections')).toBe(1);
  for (let beat = 0; beat < 3; beat++) await alive.next('tick');
  expect(await room.metric('ws_ping_seconds_count')).toBeGreaterThan(0);
  expect(alive.ws.readyState).toBe(alive.ws.OPEN);
});

test('events of one pass of the event loop leave in one write, whose bytes are laid out once for all', async () => {
  await using room = await startRoom();
  await using one = await openSocket(room.url, { name: 'one' });
  await using two = await openSocket(room.url, { name: 'two' });
  await Promise.all([one.next('welcome'), two.next('welcome')]);
  using write = vi.spyOn(Socket.prototype, 'write');
  await Promise.all(Array.from({ length: 100 }, (_, n) => room.feed.append(NOTICES, notice(`${n}`))));
  await Promise.all([one.frames.take(100), two.frames.take(100)]);
  expect(write).toHaveBeenCalledTimes(2);
  expect(write.mock.calls[0]![0]).toBe(write.mock.calls[1]![0]);
});

test('a reader that does not read is cut off at its bound; the others miss nothing', async () => {
  await using room = await startRoom({ maxPending: 100 });
  await using proxy = await startFaultProxy(room.url);
  await using stalled = await openSocket(proxy.url, { name: 'stalled' });
  await using other = await openSocket(room.url, { name: 'other' });
  await Promise.all([stalled.next('welcome'), other.next('welcome')]);
  proxy.stall('down');
  let sent = 0;
  for (; (await room.metric('ws_cut_off_total{reason="slow"}')) === 0; sent++) {
    await room.feed.append(NOTICES, notice('x'.repeat(10_000)));
    expect(sent).toBeLessThan(5_000); // the kernel and the proxy hold megabytes, not more
  }
  expect(await room.metric('ws_open_connections')).toBe(1);
  expect(await other.frames.take(sent)).toHaveLength(sent);
});

test('a backlog is read at the pace of its reader: however big it is, little of it waits here', async () => {
  await using room = await startRoom();
  for (let n = 0; n < 3_000; n++) await room.feed.append(NOTICES, notice('x'.repeat(10_000)));
  await using socket = await openSocket(room.url, { after: '0-0' });
  socket.ws.on('open', () => socket.ws.pause());
  await until('the kernel is full', async () => (await room.metric('ws_buffered_bytes')) > 0);
  expect(await room.metric('ws_buffered_bytes')).toBeLessThan(1_024 * 1_024);
  socket.ws.resume();
  expect(await socket.frames.take(3_001)).toHaveLength(3_001);
});

test('a reader that falls behind for a while is not cut off: it hears alone what it missed, and then with the others', async () => {
  await using room = await startRoom({ maxBufferedBytes: 256 * 1_024 });
  await using proxy = await startFaultProxy(room.url);
  await using socket = await openSocket(proxy.url);
  await socket.next('welcome');
  proxy.stall('down');
  for (let n = 0; n < 200; n++) {
    await room.feed.append(NOTICES, notice('x'.repeat(100_000)));
    await new Promise(setImmediate); // each in a pass of its own
  }
  await until('it follows alone', () => room.feed.followers === 2);
  proxy.flow();
  expect(await socket.frames.take(200)).toHaveLength(200);
  await room.feed.append(NOTICES, notice('last')); // with which it catches up, if not before
  expect(await socket.next('event')).toMatchObject({ data: { text: 'last' } });
  await until('it hears what all hear', () => room.feed.followers === 1);
});

test('nothing follows a close frame, even if the peer does not answer it', async () => {
  await using room = await startRoom();
  await using other = await openSocket(room.url, { name: 'other' });
  await using socket = await openRaw(room.url);
  await until('welcome', () => socket.received().includes('"welcome"'));
  socket.write(Buffer.from([0x81, 0x80 | 1, 0, 0, 0, 0, 0x78])); // a masked text frame: x
  await until('a close frame', () => socket.received().includes('not JSON'));
  await room.feed.append(NOTICES, notice('too late'));
  await other.next('event');
  await until('everything has been read', async () => (await room.metric('ws_buffered_bytes')) === 0);
  expect(socket.received()).toMatch(/not JSON$/);
});

test('at shutdown connections are closed with 1012, a few at a time, and new ones are not let in', async () => {
  await using _leaks = noLeaks();
  await using room = await startRoom();
  await using sockets = new AsyncDisposableStack();
  const open = await Promise.all(Array.from({ length: 50 }, (_, n) => openSocket(room.url, { name: `user${n}` })));
  for (const socket of open) sockets.use(socket);
  await Promise.all(open.map((socket) => socket.next('welcome')));
  const endedAt: number[] = [];
  for (const { ws } of open) ws.on('close', () => endedAt.push(performance.now()));
  await Promise.all([room.server.close(), ...open.map(async (socket) => expect(await socket.end()).toMatch(/^1012 /))]);
  expect(endedAt.at(-1)! - endedAt[0]!).toBeGreaterThan(20); // ten every 10 ms
  expect(room.server.connections).toBe(0);
});

test('a peer that does not answer the close frame is cut off within the grace', async () => {
  await using _leaks = noLeaks();
  await using room = await startRoom({ graceMs: 300 });
  await using proxy = await startFaultProxy(room.url);
  await using socket = await openSocket(proxy.url);
  await socket.next('welcome');
  proxy.stall();
  await room.server.close();
  expect(room.server.connections).toBe(0);
});

/** A client that answers nothing by itself. */
async function openRaw(url: string) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  let received = '';
  socket.on('data', (chunk) => (received += chunk.toString('latin1')));
  socket.on('error', () => {});
  socket.write(
    `GET ${PATHS.chat}?ticket=${await ticketOf(url, 'raw')} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat.v1\r\n\r\n',
  );
  return {
    received: () => received,
    write: (bytes: Buffer) => socket.write(bytes),
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}
