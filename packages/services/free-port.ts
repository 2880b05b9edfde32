/**
 * A port for a server that may be killed and must come back on the same one.
 *
 * Port 0 would give one from the range that the kernel also lends to outgoing connections (32768-60999 on Linux,
 * 49152-65535 on macOS): while the server is down, any connection of any process could take it. So: at random below.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const lowest = 20_000;
const highest = 32_767;

/** Free when it was looked at: whoever binds it must be ready to find it taken, and ask again. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(lowest, highest + 1);
    const server = createServer();
    const taken = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(true));
      server.listen(port, '127.0.0.1', () => resolve(false));
    });
    if (taken) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

// Two in a row are bad luck, five are a fault of another kind.
const attempts = 5;

/** Calls `start` with a free port, and again with another one when that was taken in between. */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort());
    } catch (error) {
      const printed = String(error instanceof Error ? (error.cause ?? error) : error);
      // Erlang says "eaddrinuse", and of its distribution port "it is in use by".
      if (attempt === attempts || !/\bin use\b|eaddrinuse/i.test(printed)) throw error;
    }
  }
}
