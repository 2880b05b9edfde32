import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { openClient } from '../client.ts';
import { DOWNLOAD, EVENTS, encodeItem, itemPath, LIVE, UPLOADS } from '../protocol.ts';
import { CODE, TYPE } from './raw-http2.ts';
import { askHttp1, ca, certificate, serve } from './serving.ts';

test('closing: GOAWAY names the last stream that counts, open streams finish, new ones are not looked at', async () => {
  await using serving = await serve({ delayMs: 500, graceMs: 5_000 });
  using raw = await serving.raw();
  await raw.greet();
  raw.send(raw.get(1, itemPath(1)), raw.get(3, itemPath(2)));
  await until('two streams', async () => (await serving.openStreams()) === 2);
  const closed = serving.server.close();
  await until('GOAWAY', () => raw.frames.some(({ type }) => type === TYPE.GOAWAY));
  const { payload } = raw.frames.find(({ type }) => type === TYPE.GOAWAY)!;
  expect([payload.readUInt32BE(), payload.readUInt32BE(4)]).toEqual([3, CODE.NO_ERROR]);
  raw.send(raw.get(5, LIVE)); // it was on its way
  await until('both answers', () => raw.frames.filter(({ type }) => type === TYPE.DATA).length >= 2);
  const bodies = raw.frames.filter(({ type, payload: { length } }) => type === TYPE.DATA && length > 0);
  expect(bodies.map((each) => each.payload.toString())).toEqual([encodeItem(1), encodeItem(2)]);
  expect(raw.frames.filter(({ stream }) => stream === 5)).toEqual([]);
  await closed;
});

test('closing does not wait for idle sessions, nor for event streams', async () => {
  await using _leaks = noLeaks();
  await using serving = await serve({ graceMs: 20_000 });
  await using idle = serving.client();
  await using listener = serving.client();
  await (await idle.request(LIVE)).text();
  const events = await listener.request(EVENTS);
  const all = events.text();
  await askHttp1(`${serving.url}/live`);
  await serving.server.close();
  expect(await all).toBe('data: {"n":1}\n\n');
  expect(await serving.counted('goaways')).toMatchObject({ closing: 2 });
});

test('what does not finish is cut off when the grace is over', async () => {
  await using serving = await serve({ delayMs: 60_000, graceMs: 300 });
  await using client = serving.client({ maxAttempts: 1 });
  const answered = client.request(itemPath(1)).catch((error) => error.code);
  const unread = await client.request(DOWNLOAD);
  await until('two streams', async () => (await serving.openStreams()) === 2);
  await serving.server.close();
  expect(await answered).toBe('connection-lost');
  await expect(unread.body.toArray()).rejects.toMatchObject({ code: 'connection-lost' });
});

test('a rolling restart under load: SIGTERM once the next server is there, and no request fails', async () => {
  const { cert: TLS_CERT, key: TLS_KEY } = certificate;
  const env = { TLS_CERT, TLS_KEY, LOG_LEVEL: 'error', DELAY_MS: '50' };
  const start = () => startProcess(new URL('../server.ts', import.meta.url), { env });
  await using first = start();
  await using second = start();
  await using line = await startFaultProxy(await first.url());
  await using client = openClient(line.url, { ca });
  let answered = 0;
  let isOver = false;
  const load = Array.from({ length: 20 }, async (_, index) => {
    while (!isOver) {
      // POST, too: only what the server has certainly not looked at may be asked again.
      const post = await client.request(UPLOADS, { method: 'POST', body: 'four' });
      expect(await post.text()).toBe('{"bytes":4}');
      expect(await (await client.request(itemPath(index + 1))).text()).toBe(encodeItem(index + 1));
      answered++;
    }
  });
  const more = () => {
    const before = answered;
    return until('forty more', () => answered > before + 40);
  };
  await Promise.race([more(), Promise.all(load)]);
  line.target(await second.url());
  const gone = first.kill('SIGTERM');
  await Promise.race([more(), Promise.all(load)]);
  isOver = true;
  await Promise.all(load);
  expect(await gone).toEqual({ code: 0, signal: null });
  expect(client.sessions).toBe(2);
});
