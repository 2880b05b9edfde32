/** Each kind of leak is really leaked, reported, and then cleaned up by the test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startFaultProxy } from '../testing/fault-proxy.ts';
import { noLeaks } from '../testing/leaks.ts';
import { startProcess } from '../testing/processes.ts';

/** What `noLeaks` says of a test body that runs `leak`; `leak` returns its own clean-up. */
async function verdict(leak: () => Promise<() => void>, withinMs = 50): Promise<string> {
  const leaks = noLeaks({ withinMs });
  const cleanUp = await leak();
  try {
    await leaks[Symbol.asyncDispose]();
    return 'clean';
  } catch (error) {
    return (error as Error).message;
  } finally {
    cleanUp();
  }
}

test('a timer, and the place where it was set', async () => {
  const message = await verdict(async () => {
    const timer = setTimeout(() => {}, 60_000);
    return () => clearTimeout(timer);
  });
  expect(message).toMatch(/The test left 1 open:\n {2}Timeout at .*testing-leaks\.test\.ts:\d+/);
});

test('an interval', async () => {
  const message = await verdict(async () => {
    const timer = setInterval(() => {}, 20);
    return () => clearInterval(timer);
  });
  expect(message).toMatch(/left 1 open:\n {2}Timeout/);
});

test('a server, and both ends of a connection', async () => {
  const message = await verdict(async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [socket] = await accepted;
    return () => {
      client.destroy();
      socket.destroy();
      server.close();
    };
  });
  expect(message.match(/TCP\w+/g)?.toSorted()).toEqual(['TCPSERVERWRAP', 'TCPWRAP', 'TCPWRAP']);
});

test('a process', async () => {
  const message = await verdict(async () => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    return () => child.kill('SIGKILL');
  });
  expect(message).toMatch(/left 1 open:\n {2}PROCESSWRAP/);
});

test('what was released, however late within the deadline, is none', async () => {
  const message = await verdict(async () => {
    setTimeout(() => {}, 20);
    return () => {};
  }, 5_000);
  expect(message).toBe('clean');
});

test('what existed before is none, nor what does not keep the process alive', async () => {
  const before = setInterval(() => {}, 1_000);
  const message = await verdict(async () => {
    const idle = setInterval(() => {}, 1_000).unref();
    return () => clearInterval(idle);
  });
  clearInterval(before);
  expect(message).toBe('clean');
});

test('everything in this folder cleans up behind itself', async () => {
  await using _leaks = noLeaks();
  await using server = createHttpServer((_request, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using proxy = await startFaultProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  proxy.delay(5);
  expect(await (await fetch(proxy.url)).text()).toBe('hello');
  await using child = startProcess(new URL('./fixtures/program.ts', import.meta.url), { args: ['listen', 'stay'] });
  await child.url();
  await pause(1);
});
