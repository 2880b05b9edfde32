/**
 * What costs a client a dozen bytes, and us more: each attack is really done, over TLS, frame by frame. What has to follow is
 * the end of that session, soon and with bounded memory, while somebody else is served by the same process all the time.
 */
import { constants } from 'node:http2';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { itemPath, LIVE, UPLOADS } from '../protocol.ts';
import { CODE, FLAG, frame, headerBlock, type Raw, TYPE, uint32 } from './raw-http2.ts';
import { sendHttp1, serve } from './serving.ts';

const reset = (stream: number) => frame(TYPE.RST_STREAM, stream, { payload: uint32(CODE.CANCEL) });
const repeat = (times: number, bytes: Buffer) => Buffer.concat(Array<Buffer>(times).fill(bytes));

/** Attacks a server with small limits until the session is over, and asks as somebody else before, while and after. */
async function attack(run: (raw: Raw) => Promise<void> | void, { delayMs = 0, streamResetBurst = 100 } = {}) {
  await using serving = await serve({ delayMs, limits: { streamResetBurst, streamResetRate: 10 } });
  await using other = serving.client();
  const isServed = async () => (await (await other.request(LIVE)).text()) === 'live\n';
  await isServed();
  using raw = await serving.raw();
  await raw.greet();
  const [served] = await Promise.all([isServed(), run(raw)]);
  const code = await raw.ended();
  expect([served, await isServed()]).toEqual([true, true]);
  expect(other.sessions).toBe(1);
  await until('nothing is left of it', () => serving.server.sessions.size === 1);
  return { code, begun: await streamsBegun(serving), goaways: await serving.counted('goaways') };
}

/** How many reached a handler, without the other's three. */
async function streamsBegun({ server }: Awaited<ReturnType<typeof serve>>, others = 3): Promise<number> {
  return (await server.metrics.streams.get()).values[0]!.value - others;
}

const streams = (raw: Raw, count: number, from = 0) =>
  Buffer.concat(Array.from({ length: count }, (_, n) => raw.get(2 * (from + n) + 1, itemPath(1))));

/** Sends in parts, each after the server has seen the last (PING), so that it is the rate that counts, not the length of a read. */
async function inTurns(raw: Raw, turns: number, part: (turn: number) => Buffer): Promise<number> {
  for (let turn = 0; turn < turns; turn++) {
    const pongs = () => raw.frames.filter(({ type }) => type === TYPE.PING).length;
    const before = pongs();
    raw.send(part(turn), frame(TYPE.PING, 0, { payload: Buffer.alloc(8) }));
    await until('a pong, or the end', () => pongs() > before || raw.isClosed);
    if (raw.isClosed) return turn;
  }
  return turns;
}

test('Rapid Reset (CVE-2023-44487): opening and resetting ends the session after the burst that is forgiven', async () => {
  let turns = 0;
  const { code, begun, goaways } = await attack(
    async (raw) => {
      const openAndReset = (n: number) => Buffer.concat([raw.get(2 * n + 1, itemPath(1)), reset(2 * n + 1)]);
      turns = await inTurns(raw, 100, (turn) =>
        Buffer.concat(Array.from({ length: 20 }, (_, i) => openAndReset(20 * turn + i))),
      );
    },
    { delayMs: 60_000 },
  );
  // nghttp2 says INTERNAL_ERROR here, not ENHANCE_YOUR_CALM.
  expect(code).toBe(constants.NGHTTP2_INTERNAL_ERROR);
  expect(turns).toBeGreaterThanOrEqual(4); // a hundred are forgiven
  expect(begun).toBeLessThan(200); // of two thousand
  expect(goaways).toEqual({ error: 1 });
});

test('a client that cancels a whole page at once is no attacker', async () => {
  await using serving = await serve({ delayMs: 60_000 });
  await using client = serving.client();
  const leaving = new AbortController();
  const page = Array.from({ length: 100 }, (_, i) =>
    client.request(itemPath(i + 1), { signal: leaving.signal }).catch(() => {}),
  );
  await until('all are asked', async () => (await serving.openStreams()) === 100);
  leaving.abort();
  await Promise.all(page);
  expect(await (await client.request(LIVE)).text()).toBe('live\n');
  expect(client.sessions).toBe(1);
  expect((await serving.counted('resets')).CANCEL).toBe(100);
});

test.each([
  [
    'a window that grows by 0',
    CODE.PROTOCOL_ERROR,
    (id: number) => frame(TYPE.WINDOW_UPDATE, id, { payload: uint32(0) }),
  ],
  [
    'a window that overflows',
    CODE.FLOW_CONTROL_ERROR,
    (id: number) => frame(TYPE.WINDOW_UPDATE, id, { payload: uint32(0x7fffffff) }),
  ],
  ['data after the end', CODE.STREAM_CLOSED, (id: number) => frame(TYPE.DATA, id, { payload: Buffer.from('more') })],
])('MadeYouReset (CVE-2025-8671) by %s: the first one ends the session', async (_how, expected, provoke) => {
  const { code, begun } = await attack((raw) => void raw.send(raw.get(1, itemPath(1)), provoke(1)), {
    delayMs: 60_000,
  });
  expect([code, begun]).toEqual([expected, 1]);
});

test('one stream more than the client has been told ends the session; before it could know, it is refused', async () => {
  const told = await attack((raw) => void raw.send(streams(raw, 101)), { delayMs: 60_000 });
  expect([told.code, told.begun]).toEqual([CODE.PROTOCOL_ERROR, 100]);

  await using serving = await serve({ delayMs: 60_000 });
  using raw = await serving.raw();
  await raw.greet({ acknowledge: false });
  const refused = () => raw.frames.filter(({ type }) => type === TYPE.RST_STREAM);
  raw.send(streams(raw, 101));
  await until('one is refused', () => refused().length > 0);
  expect(refused().map(({ stream, payload }) => [stream, payload.readUInt32BE()])).toEqual([
    [201, CODE.REFUSED_STREAM],
  ]);
  raw.send(streams(raw, 200, 101)); // whoever goes on is not ignorant, but attacks
  await raw.ended();
  expect(await streamsBegun(serving, 0)).toBe(100);
});

test('CONTINUATION flood (CVE-2024-27983): a header that never ends is cut off after eight frames', async () => {
  let frames = 0;
  const { begun } = await attack(async (raw) => {
    const field = headerBlock(LIVE, { fields: { a: 'b' } }).subarray(headerBlock(LIVE).length);
    raw.send(frame(TYPE.HEADERS, 1, { payload: headerBlock(LIVE) }));
    for (; !raw.isClosed && frames < 10_000; frames++) {
      raw.send(frame(TYPE.CONTINUATION, 1, { payload: field }));
      await new Promise(setImmediate);
    }
  });
  expect(begun).toBe(0);
  expect(frames).toBeLessThan(10_000);
});

test('headers that are too long or too many are refused, in both versions, and the session goes on', async () => {
  await using serving = await serve();
  using raw = await serving.raw();
  await raw.greet();
  const many = Object.fromEntries(Array.from({ length: 110 }, (_, i) => [`x-${i}`, 'x']));
  const long = Object.fromEntries(Array.from({ length: 3 }, (_, i) => [`x-${i}`, 'x'.repeat(15_000)]));
  const block = headerBlock(LIVE, { fields: long });
  raw.send(raw.get(1, LIVE, many), raw.get(3, LIVE));
  raw.send(frame(TYPE.HEADERS, 5, { flags: FLAG.END_STREAM, payload: block.subarray(0, 16_000) }));
  raw.send(frame(TYPE.CONTINUATION, 5, { payload: block.subarray(16_000, 32_000) }));
  raw.send(frame(TYPE.CONTINUATION, 5, { flags: FLAG.END_HEADERS, payload: block.subarray(32_000) }));
  const first = (stream: number) => raw.frames.find((each) => each.stream === stream);
  await until('three answers', () => first(1) && first(3) && first(5));
  expect([first(1)?.type, first(3)?.type, first(5)?.type]).toEqual([TYPE.RST_STREAM, TYPE.HEADERS, TYPE.RST_STREAM]);
  expect([first(1), first(5)].map((each) => each?.payload.readUInt32BE())).toEqual([
    CODE.ENHANCE_YOUR_CALM,
    CODE.ENHANCE_YOUR_CALM,
  ]);
  expect(await sendHttp1(serving.url, `GET ${LIVE} HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1.1 431 /,
  );
});

test.each([
  ['SETTINGS', () => frame(TYPE.SETTINGS, 0)],
  ['PING', () => frame(TYPE.PING, 0, { payload: Buffer.alloc(8) })],
])('a flood of %s, whose answers nobody reads, ends the session', async (_name, flood) => {
  let sent = 0;
  await attack(async (raw) => {
    const part = repeat(500, flood());
    raw.socket.pause();
    for (; raw.socket.writable && sent < 400; sent++) {
      // A pace, and not a condition: whoever is cut off gets no 'drain' to wait for.
      if (!raw.send(part)) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    raw.socket.resume();
  });
  expect(sent).toBeLessThan(400);
});

test('a SETTINGS frame with two thousand settings, and empty DATA without end, end the session', async () => {
  const setting = Buffer.from([0, 1, 0, 0, 0, 0]);
  const many = await attack((raw) => void raw.send(frame(TYPE.SETTINGS, 0, { payload: repeat(2_000, setting) })));
  expect(many.code).toBe(CODE.ENHANCE_YOUR_CALM);
  const empty = await attack(async (raw) => {
    raw.send(frame(TYPE.HEADERS, 1, { flags: FLAG.END_HEADERS, payload: headerBlock(UPLOADS, { method: 'POST' }) }));
    await inTurns(raw, 50, () => repeat(50, frame(TYPE.DATA, 1)));
  });
  expect(empty.code).toBe(CODE.INTERNAL_ERROR);
});
