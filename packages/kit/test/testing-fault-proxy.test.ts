/** The fault proxy against real sockets: what passes, and what each fault looks like from both ends. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { reset } from '../testing/carry.ts';
import { EventQueue } from '../testing/event-queue.ts';
import { type FaultProxy, startFaultProxy } from '../testing/fault-proxy.ts';
import { noLeaks } from '../testing/leaks.ts';
import { until, within } from '../testing/until.ts';

/** One end of a connection, and all that it was told. */
function watched(socket: Socket) {
  const seen = { text: '', ended: false, error: '' };
  socket.on('data', (chunk) => {
    seen.text += chunk;
  });
  socket.on('end', () => {
    seen.ended = true;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.error = error.code ?? error.message;
  });
  return { socket, seen };
}

async function startServer() {
  const accepted = new EventQueue<ReturnType<typeof watched>>();
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    accepted.push(watched(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accepted,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function setUp(options?: Parameters<typeof startFaultProxy>[1]) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startServer());
  const proxy = stack.use(await startFaultProxy(server.url, options));
  async function dial() {
    const client = watched(connect({ host: '127.0.0.1', port: portOf(proxy), allowHalfOpen: true }));
    stack.defer(() => void client.socket.destroy());
    const atServer = await server.accepted.next();
    return { client, atServer };
  }
  return { server, proxy, dial, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const portOf = (proxy: FaultProxy) => Number(new URL(proxy.url).port);

/** Sends a message both ways: proof that the line works, and that what was sent before has arrived. */
async function exchange({ client, atServer }: Record<'client' | 'atServer', ReturnType<typeof watched>>, text: string) {
  client.socket.write(text);
  await until(`"${text}" at the server`, () => atServer.seen.text.endsWith(text));
  atServer.socket.write(text);
  await until(`"${text}" at the client`, () => client.seen.text.endsWith(text));
}

/**
 * Writes more than all kernel buffers on the way hold, chunk by chunk, until nothing moves any more. Proves back-pressure:
 * without it, the proxy would take everything. Returns the number of bytes; the rest goes on when the line flows again.
 */
async function fill(socket: Socket): Promise<number> {
  const chunk = Buffer.alloc(64 * 1024);
  const chunks = 1_000;
  let written = 0;
  const writeOn = () => {
    if (++written < chunks) socket.write(chunk, writeOn);
  };
  socket.write(chunk, writeOn);
  let before = -1;
  let unchanged = 0;
  await until('a standstill', () => {
    unchanged = written === before ? unchanged + 1 : 0;
    before = written;
    return unchanged === 10;
  });
  expect(written, 'chunks that went out').toBeLessThan(chunks);
  return chunks * chunk.length;
}

describe('a sound line', () => {
  test('carries bytes both ways, counts them and shows them', async () => {
    const shown: string[] = [];
    await using rig = await setUp({
      onData: (chunk, { direction, connection }) => shown.push(`${connection} ${direction} ${chunk.toString()}`),
    });
    const one = await rig.dial();
    await exchange(one, 'hello');
    const two = await rig.dial();
    await exchange(two, 'again');
    expect(shown).toEqual(['1 up hello', '1 down hello', '2 up again', '2 down again']);
    expect(rig.proxy.bytes).toEqual({ up: 10, down: 10 });
    expect(rig.proxy.connections).toBe(2);
  });

  test('passes on the end of one direction, and the other goes on', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    client.socket.end('last words');
    await until('the end at the server', () => atServer.seen.ended);
    expect(atServer.seen.text).toBe('last words');
    atServer.socket.end('answer');
    await until('the end at the client', () => client.seen.ended);
    expect(client.seen).toEqual({ text: 'answer', ended: true, error: '' });
    await until('no connection', () => rig.proxy.connections === 0);
  });

  test('passes on a reset', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    await exchange({ client, atServer }, 'x');
    client.socket.resetAndDestroy();
    await until('the reset at the server', () => atServer.seen.error);
    expect(atServer.seen.error).toBe('ECONNRESET');
    await until('no connection', () => rig.proxy.connections === 0);
  });

  test('resets the clients of a server that is not there', async () => {
    await using proxy = await startFaultProxy('http://127.0.0.1:1');
    const client = watched(connect(portOf(proxy), '127.0.0.1'));
    await until('the reset', () => client.seen.error);
    expect(client.seen.error).toBe('ECONNRESET');
  });

  test.each([
    ['http://127.0.0.1:80', /^http:\/\/127\.0\.0\.1:\d+$/],
    ['http://localhost:8080/', /^http:\/\/127\.0\.0\.1:\d+\/$/],
    ['redis://user:secret@localhost:6379/2', /^redis:\/\/user:secret@127\.0\.0\.1:\d+\/2$/],
    ['postgres://user@localhost/app?sslmode=disable', /^postgres:\/\/user@127\.0\.0\.1:\d+\/app\?sslmode=disable$/],
  ])('%s keeps all but its address', async (target, expected) => {
    await using proxy = await startFaultProxy(target);
    expect(proxy.url).toMatch(expected);
    expect(proxy.url).not.toMatch(/:(80|8080|6379)(\/|$)/);
  });
});

describe('faults', () => {
  test('cut: both ends are reset, and the next connection is served', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    await exchange({ client, atServer }, 'x');
    rig.proxy.cut();
    await until('both resets', () => client.seen.error && atServer.seen.error);
    expect([client.seen.error, atServer.seen.error]).toEqual(['ECONNRESET', 'ECONNRESET']);
    await exchange(await rig.dial(), 'back');
  });

  test('cut does not wait for a client that reads nothing', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    client.socket.pause();
    await fill(atServer.socket);
    rig.proxy.cut();
    await until('the reset', () => atServer.seen.error);
    await until('no connection', () => rig.proxy.connections === 0);
  });

  test('refuse: new connections are reset, open ones stay, until accept', async () => {
    await using rig = await setUp();
    const before = await rig.dial();
    rig.proxy.refuse();
    const refused = watched(connect(portOf(rig.proxy), '127.0.0.1'));
    await until('the refusal', () => refused.seen.error);
    await exchange(before, 'still here');
    rig.proxy.accept();
    await exchange(await rig.dial(), 'welcome');
  });

  test('stall: nothing passes and nobody is told, not even of a reset; flow brings it all, in order', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    await exchange({ client, atServer }, 'a');
    rig.proxy.stall();
    client.socket.write('b');
    atServer.socket.write('c');
    // A second connection is stalled too: it gets through to the server, its bytes do not.
    const later = await rig.dial();
    later.client.socket.write('d');
    await until('the bytes in the proxy', () => client.socket.writableLength === 0);
    later.client.socket.resetAndDestroy();
    expect(rig.proxy.bytes).toEqual({ up: 1, down: 1 });
    expect([client.seen.text, atServer.seen.text, later.atServer.seen]).toEqual([
      'a',
      'a',
      { text: '', ended: false, error: '' },
    ]);
    rig.proxy.flow();
    await until('what was held', () => client.seen.text === 'ac' && atServer.seen.text === 'ab');
    await until('the late reset', () => later.atServer.seen.error);
  });

  test('stall down: requests pass, and the server meets back-pressure', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    rig.proxy.stall('down');
    client.socket.write('request');
    await until('the request', () => atServer.seen.text === 'request');
    const written = await fill(atServer.socket);
    expect(rig.proxy.bytes.down).toBe(0);
    rig.proxy.flow();
    await until('all of it', () => client.seen.text.length === written);
  });

  test('halfOpen: one end is gone, the other keeps a healthy socket', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    await exchange({ client, atServer }, 'x');
    rig.proxy.halfOpen('client');
    await until('the reset at the client', () => client.seen.error);
    await exchange(await rig.dial(), 'another');
    atServer.socket.write('anybody there?');
    await fill(atServer.socket);
    expect(atServer.seen).toEqual({ text: 'x', ended: false, error: '' });
  });

  test('delay: adds latency to each chunk, not to their sum, and keeps the order', async () => {
    await using rig = await setUp();
    const { client, atServer } = await rig.dial();
    await exchange({ client, atServer }, 'warm');
    rig.proxy.delay(100);
    const start = performance.now();
    for (let i = 0; i < 10; i++) {
      client.socket.write(`${i}`);
      await new Promise(setImmediate);
    }
    await until('all ten', () => atServer.seen.text === 'warm0123456789');
    expect(performance.now() - start).toBeGreaterThanOrEqual(99);
  });

  test('target: later connections go to the new server, open ones stay', async () => {
    await using rig = await setUp();
    await using restarted = await startServer();
    const old = await rig.dial();
    rig.proxy.target(restarted.url);
    const client = watched(connect(portOf(rig.proxy), '127.0.0.1'));
    const atServer = await restarted.accepted.next();
    await exchange({ client, atServer }, 'new');
    await exchange(old, 'old');
    client.socket.destroy();
  });

  test('disposing resets what is open', async () => {
    await using server = await startServer();
    const proxy = await startFaultProxy(server.url);
    const client = watched(connect(portOf(proxy), '127.0.0.1'));
    await server.accepted.next();
    await proxy[Symbol.asyncDispose]();
    await until('the reset', () => client.seen.error === 'ECONNRESET');
    expect(proxy.connections).toBe(0);
  });

  test('a connection whose FIN is on its way can be reset too', async () => {
    await using _leaks = noLeaks();
    await using server = await startServer();
    const client = connect(Number(new URL(server.url).port), '127.0.0.1');
    await server.accepted.next();
    client.end();
    // Node hands the FIN to the system one tick after `end`, and hears that it is out in the next turn of the event loop.
    await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
    expect([client.writableEnded, client.writableFinished]).toEqual([true, false]);
    const closed = once(client, 'close');
    reset(client);
    await within('close', 2_000, closed);
  });
});
