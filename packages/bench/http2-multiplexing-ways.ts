/**
 * The ways in which the load generator of the http2-multiplexing benchmark asks. `connections` is what HTTP/1.1 keeps open; over
 * HTTP/2 there is one.
 */
import { connect } from 'node:http2';
import { Agent, get } from 'node:https';
import { openClient } from '@patterns/http2-multiplexing/client';
import { Client, type Dispatcher, Pool } from 'undici';

export interface Server {
  url: string;
  /** The certificate to trust. */
  ca: string;
  connections: number;
}

export interface Way extends AsyncDisposable {
  /** Asks, and reads the answer to its end. Rejects when that is not a 200. */
  get(path: string): Promise<void>;
}

export const ways = {
  'HTTP/1.1, a connection for each': ({ url, ca }: Server) => overNode(url, ca, false),

  'HTTP/1.1 kept, node:https'({ url, ca, connections }: Server) {
    return overNode(url, ca, new Agent({ keepAlive: true, maxSockets: connections }));
  },

  'HTTP/1.1 kept, undici'({ url, ca, connections }: Server) {
    return overUndici(new Pool(url, { connections, connect: { ca }, allowH2: false }));
  },

  'HTTP/2, undici': ({ url, ca }: Server) => {
    return overUndici(new Client(url, { connect: { ca }, allowH2: true, pipelining: 100 }));
  },

  'HTTP/2, bare node:http2'({ url, ca }: Server): Way {
    const session = connect(url, { ca });
    return {
      get: (path) =>
        new Promise((resolve, reject) => {
          const stream = session.request({ ':path': path });
          stream.once('response', (headers) => headers[':status'] === 200 || reject(unexpected(headers[':status'])));
          stream.once('error', reject).once('end', resolve).resume();
        }),
      [Symbol.asyncDispose]: async () => session.destroy(),
    };
  },

  'HTTP/2, ours'({ url, ca }: Server): Way {
    const client = openClient(url, { ca });
    return {
      async get(path) {
        const reply = await client.request(path);
        await reply.text();
        if (reply.status !== 200) throw unexpected(reply.status);
      },
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
} satisfies Record<string, (server: Server) => Way>;

export type WayName = keyof typeof ways;

function overNode(url: string, ca: string, agent: Agent | false): Way {
  return {
    get: (path) =>
      new Promise((resolve, reject) => {
        const request = get(url + path, { agent, ca }, (response) => {
          if (response.statusCode !== 200) reject(unexpected(response.statusCode));
          response.once('end', resolve).resume();
        });
        request.once('error', reject);
      }),
    [Symbol.asyncDispose]: async () => {
      if (agent) agent.destroy();
    },
  };
}

function overUndici(dispatcher: Dispatcher): Way {
  return {
    async get(path) {
      const { statusCode, body } = await dispatcher.request({ method: 'GET', path });
      await body.dump();
      if (statusCode !== 200) throw unexpected(statusCode);
    },
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  };
}

const unexpected = (status: number | undefined) => new Error(`answered with status ${status}`);
