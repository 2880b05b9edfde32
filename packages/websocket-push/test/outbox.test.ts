import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { expect, test } from 'vitest';
import { Outbox, Outboxes } from '../outbox.ts';

const KB = 1_024;

test('what waits for a peer that does not read is bounded in bytes', async () => {
  await using _leaks = noLeaks();
  await using pair = await connectPair();
  let overflowed = false;
  const cutOff = () => {
    overflowed = true;
  };
  const outbox = new Outbox(pair.near, new Outboxes({ maxBufferedBytes: 256 * KB, maxPending: 10 }), {
    isOpen: true,
    cutOff,
  });
  // Acknowledgements, say: nobody asks `drained` for them, and a peer that sends and never reads counts as alive.
  for (let sent = 0; !overflowed; sent++) {
    expect(sent).toBeLessThan(1_000); // the kernel holds megabytes, not more
    outbox.send(Buffer.alloc(64 * KB));
    await until('it has left', () => outbox.bufferedBytes === pair.near.writableLength);
  }
  expect(pair.near.writableLength).toBeLessThan(400 * KB);
});

test('is full before the socket has been asked, and drained when the peer has read', async () => {
  await using pair = await connectPair();
  const outbox = new Outbox(pair.near, new Outboxes({ maxBufferedBytes: 64 * KB * KB, maxPending: 10 }), {
    isOpen: true,
    cutOff() {},
  });
  expect(outbox.drained()).toBeUndefined();
  for (let sent = 0; sent < 16 * KB; sent += 4) outbox.send(Buffer.alloc(4 * KB)); // 16 MB in one pass
  let isDrained = false;
  void outbox.drained()?.then(() => {
    isDrained = true;
  });
  await until('the kernel is full', () => pair.near.writableLength > 0);
  expect([outbox.isFull, isDrained]).toEqual([true, false]);
  pair.far.resume();
  await until('drained', () => isDrained);
  expect(outbox.drained()).toBeUndefined();
});

test('a peer that has no room for too many events in a row is cut off; one that catches up in between is not', async () => {
  await using pair = await connectPair();
  let cuts = 0;
  const outboxes = new Outboxes({ maxBufferedBytes: 64 * KB * KB, maxPending: 10 });
  const outbox = new Outbox(pair.near, outboxes, { isOpen: true, cutOff: () => cuts++ });
  for (let round = 1; round <= 2; round++) {
    outbox.send(Buffer.alloc(16 * KB * KB));
    await until('full', () => outbox.isFull);
    for (let missed = 0; missed < 8; missed++) outbox.miss();
    pair.far.resume();
    await until('read', () => !outbox.isFull);
    pair.far.pause();
  }
  expect(cuts).toBe(0);
  outbox.send(Buffer.alloc(16 * KB * KB));
  await until('full', () => outbox.isFull);
  for (let missed = 0; missed < 11; missed++) outbox.miss();
  expect(cuts).toBe(1);
});

test('keeps the order of frames that are shared and frames that are not', async () => {
  await using pair = await connectPair();
  const outboxes = new Outboxes({ maxBufferedBytes: 64 * KB, maxPending: 10 });
  const [one, other] = [pair.near, pair.far].map(
    (socket) => new Outbox(socket, outboxes, { isOpen: true, cutOff() {} }),
  ) as [Outbox, Outbox];
  pair.far.resume();
  let received = '';
  let receivedByOther = '';
  pair.far.on('data', (chunk) => (received += String(chunk)));
  pair.near.on('data', (chunk) => (receivedByOther += String(chunk)));
  const [a, b, c] = ['a', 'b', 'c'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];
  for (const outbox of [one, other]) outbox.send(a);
  one.send(Buffer.from('-'));
  for (const outbox of [one, other]) outbox.send(b);
  for (const outbox of [other, one]) outbox.send(c);
  await until('all of it', () => received.length === 4 && receivedByOther.length === 3);
  expect([received, receivedByOther]).toEqual(['a-bc', 'abc']);
});

/** Two ends of a connection; `far` does not read. */
async function connectPair() {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await accepted) as [Socket];
  server.close();
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
    },
  };
}
