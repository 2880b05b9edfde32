import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { type Chat, type ChatOptions, openChat, subscribe } from '../client.ts';
import { type ChatEvent, NOTICES, RATE, ROOM } from '../protocol.ts';
import { notice, startRoom } from './room.ts';

/** A chat whose messages are read into a queue. */
function join(url: string, options: ChatOptions = {}) {
  let chat: Chat | undefined;
  const events = EventQueue.from((signal) => {
    chat = openChat(url, { maxDelayMs: 200, ...options, signal });
    return chat.messages;
  });
  return { events, say: (text: string) => chat!.say(text), [Symbol.asyncDispose]: () => events[Symbol.asyncDispose]() };
}

const texts = (queue: EventQueue<ChatEvent>) => queue.items.map(({ data }) => data.text);

test('goes on after a cut line as if nothing had been', async () => {
  await using _leaks = noLeaks();
  await using room = await startRoom();
  await using proxy = await startFaultProxy(room.url);
  await using ann = join(proxy.url, { after: '0-0' });
  for (let n = 0; n < 30; n++) {
    await room.feed.append(NOTICES, notice(`${n}`));
    if (n % 10 === 5) {
      await ann.events.find('an event before the cut', ({ data }) => data.text === `${n}`);
      proxy.cut();
    }
  }
  await ann.events.find('the last event', ({ data }) => data.text === '29');
  expect(texts(ann.events)).toEqual(Array.from({ length: 30 }, (_, n) => `${n}`));
});

test('notices a line that has gone silent, and takes another, for its requests as well', {
  timeout: 5_500,
}, async () => {
  await using room = await startRoom({ pingMs: 100 });
  await using proxy = await startFaultProxy(room.url);
  await using ann = join(proxy.url, { after: '0-0', silenceMs: 1_000 });
  await room.feed.append(NOTICES, notice('1'));
  await ann.events.next();
  proxy.halfOpen('server'); // the client's side stays open, and nobody tells it
  await room.feed.append(NOTICES, notice('2'));
  await ann.events.next();
  expect(texts(ann.events)).toEqual(['1', '2']);
});

test('says again what was not acknowledged: it is in the room once, in its place', async () => {
  await using _leaks = noLeaks();
  await using room = await startRoom();
  await using proxy = await startFaultProxy(room.url);
  await using ann = join(proxy.url, { name: 'ann', after: '0-0' });
  await until('connected', async () => (await room.metric('ws_open_connections')) === 1);
  await ann.say('one');
  proxy.stall('down'); // the message arrives, its acknowledgement does not
  const two = ann.say('two');
  await until('it is in the room', async () => (await room.feed.read({ topic: ROOM })).length === 2);
  proxy.stall('up'); // and this one does not even arrive
  const three = ann.say('three');
  proxy.cut();
  proxy.flow();
  const cursors = await Promise.all([two, three]);
  await ann.events.take(3);
  const inRoom = await room.feed.read({ topic: ROOM });
  expect(inRoom.map(({ data }) => data.text)).toEqual(['one', 'two', 'three']);
  expect(inRoom.slice(1).map(({ id }) => id)).toEqual(cursors);
  expect(texts(ann.events)).toEqual(['one', 'two', 'three']);
});

test('what was said before there was a connection is said when there is one', async () => {
  await using room = await startRoom();
  await using proxy = await startFaultProxy(room.url);
  proxy.refuse();
  await using ann = join(proxy.url, { name: 'ann' });
  const said = ann.say('hello?');
  proxy.accept();
  expect(await said).toBe((await room.feed.read({ topic: ROOM }))[0]?.id);
});

test('keeps to the pace that the server allows, however fast it is told', async () => {
  await using room = await startRoom();
  await using ann = join(room.url, { name: 'ann' });
  await Promise.all(Array.from({ length: RATE.burst + 5 }, (_, n) => ann.say(`${n}`)));
  expect(await room.metric('ws_closes_total{code="1008"}')).toBe(0);
  const said = (await room.feed.read({ topic: ROOM })).map(({ data }) => data.text);
  expect(said).toEqual(Array.from({ length: RATE.burst + 5 }, (_, n) => `${n}`));
});

test('gives up on 1008, says why, and does not leave its messages waiting', async () => {
  await using room = await startRoom({ sessionMs: 2_000, pingMs: 500 });
  await using ann = join(room.url, { name: 'ann' });
  await until('connected', async () => (await room.metric('ws_open_connections')) === 1);
  await ann.say('hello');
  await ann.events.next();
  await expect(ann.events.next()).rejects.toMatchObject({
    name: 'ChatError',
    code: 'refused',
    message: /^closed with 1008/,
  });
  await expect(ann.say('anybody?')).rejects.toMatchObject({ code: 'refused' });
});

test('gives up on a refusal that stays one: its name, its cursor, another program', async () => {
  await using room = await startRoom();
  const end = (url: string, options: ChatOptions) => subscribe(url, options).next();
  await expect(end(room.url, { name: 'no name' })).rejects.toMatchObject({ code: 'refused', message: /^400 .*\/name/ });
  await expect(end(room.url, { after: 'x' })).rejects.toMatchObject({
    message: 'closed with 4400: after: malformed cursor',
  });
  await using other = await listen(createServer((_request, response) => response.writeHead(404).end()));
  await expect(end(other.url, {})).rejects.toMatchObject({ message: /^404 from/ });
});

test('comes back to a server that is full', async () => {
  await using room = await startRoom({ maxConnections: 1 });
  await using ann = join(room.url, { name: 'ann' });
  await until('connected', async () => (await room.metric('ws_open_connections')) === 1);
  await using bob = join(room.url, { name: 'bob', after: '0-0' });
  await until('refused', async () => (await room.metric('ws_refused_total{status="503"}')) > 0);
  await ann.events[Symbol.asyncDispose]();
  await room.feed.append(NOTICES, notice('1'));
  await bob.events.next();
});

test('tells its user what an expired cursor has cost, and goes on', async () => {
  await using room = await startRoom({ retain: 5 });
  const first = await room.feed.append(NOTICES, notice('0'));
  for (let n = 1; n <= 20; n++) await room.feed.append(NOTICES, notice(`${n}`));
  const resets: string[] = [];
  await using ann = join(room.url, { after: first.id, onReset: (detail) => resets.push(detail) });
  await ann.events.take(5);
  expect(texts(ann.events)).toEqual(['16', '17', '18', '19', '20']);
  expect(resets).toEqual([expect.stringContaining('expired')]);
});

test('a caller that stops iterating says goodbye', async () => {
  await using _leaks = noLeaks();
  await using room = await startRoom();
  await room.feed.append(NOTICES, notice('1'));
  for await (const _event of subscribe(room.url, { after: '0-0' })) break;
  await until('the server has noticed', async () => (await room.metric('ws_closes_total{code="1000"}')) === 1);
});
