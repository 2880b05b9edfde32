/**
 * Three ways of loading the page's hundred items: a connection for each, six connections that are kept, and one that carries
 * all of them at once. Each ends when disposed.
 */
import { get } from 'node:https';
import { Client, Pool } from 'undici';
import { openClient } from './client.ts';
import { ITEMS, itemPath } from './protocol.ts';

export interface Way extends AsyncDisposable {
  /** Asks, reads the answer to its end, and returns its status. */
  get(path: string): Promise<number>;
}

/** As many browsers open to one host. */
export const SIX = 6;

/** HTTP/1.1 without keep-alive: each request opens a connection of its own. */
export function oneEach(url: string, ca: string): Way {
  return {
    get: (path) =>
      new Promise((resolve, reject) => {
        const request = get(url + path, { agent: false, ca }, (response) => {
          response.once('end', () => resolve(response.statusCode ?? 0)).resume();
        });
        request.once('error', reject);
      }),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** HTTP/1.1 with six connections, each of which carries one request at a time. They are shared out over `urls`, in turn. */
export function sixKept(urls: readonly [string, ...string[]], ca: string): Way {
  let opened = 0;
  const pool = new Pool(urls[0], {
    connections: SIX,
    factory: (_origin, options) => new Client(urls[opened++ % urls.length]!, options),
    connect: { ca },
    allowH2: false,
  });
  return {
    async get(path) {
      const { statusCode, body } = await pool.request({ method: 'GET', path });
      await body.dump();
      return statusCode;
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

/** HTTP/2: one connection, and each request a stream of it. */
export function oneSession(url: string, ca: string): Way {
  const client = openClient(url, { ca });
  return {
    async get(path) {
      const reply = await client.request(path);
      await reply.text();
      return reply.status;
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** Asks for all items at once. @returns the answers, each of which resolves with its status. */
export function askForPage(way: Way): Promise<number>[] {
  return Array.from({ length: ITEMS }, (_, index) => way.get(itemPath(index + 1)));
}
