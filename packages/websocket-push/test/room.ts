/** What the tests of this folder share: a server on a feed in memory, and a bare socket that shows what comes over the wire. */
import { text } from 'node:stream/consumers';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { createLog } from '@patterns/kit/log';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { WebSocket } from 'ws';
import { type ChatData, PATHS, PROTOCOL } from '../protocol.ts';
import { type ServerOptions, startServer } from '../server.ts';

export const notice = (text: string): ChatData => ({ type: 'notice', text });

/** A feed and a server on it; both end with the test. */
export async function startRoom(options: Partial<ServerOptions> & { retain?: number } = {}) {
  const stack = new AsyncDisposableStack();
  const log = createLog('test');
  log.silent = true;
  const feed = options.feed ?? stack.use(new MemoryFeed<ChatData>(options.retain ? { retain: options.retain } : {}));
  const server = stack.use(await startServer({ log, graceMs: 1_000, ...options, feed }));
  return {
    feed,
    server,
    url: server.url,
    /** The value of one line of /metrics; 0 when it is not there. */
    async metric(name: string): Promise<number> {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      const line = text.split('\n').find((each) => each.startsWith(`${name} `));
      return Number(line?.slice(name.length) ?? 0);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** POSTs as a browser or curl would. */
export async function post(
  url: string,
  { body, session }: { body?: unknown; session?: string } = {},
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: {
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(session === undefined ? {} : { Authorization: `Bearer ${session}` }),
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
}

export async function sessionOf(url: string, name: string): Promise<string> {
  const login = await post(`${url}${PATHS.login}`, { body: { name } });
  return ((await login.json()) as { session: string }).session;
}

/** Logs in and gets a ticket. */
export async function ticketOf(url: string, name = 'ann'): Promise<string> {
  const session = await sessionOf(url, name);
  const { ticket } = (await (await post(`${url}${PATHS.tickets}`, { session })).json()) as { ticket: string };
  return ticket;
}

export interface SocketOptions {
  name?: string;
  after?: string;
  ticket?: string;
  protocol?: string;
  origin?: string;
}

/**
 * Opens a socket without any client code of ours. `frames`: the text of each frame as it comes, and at the end
 * "<close code> <reason>"; or, when the handshake was refused, "<status> <content type> <body>".
 */
export async function openSocket(
  url: string,
  { name, after, protocol = PROTOCOL, origin, ...rest }: SocketOptions = {},
) {
  const ticket = rest.ticket ?? (await ticketOf(url, name));
  const query = new URLSearchParams({ ticket, ...(after === undefined ? {} : { after }) });
  const frames = new EventQueue<string>();
  const handling = { closeTimeout: 500, ...(origin === undefined ? {} : { origin }) };
  const ws = new WebSocket(
    `${url.replace(/^http/, 'ws')}${PATHS.chat}?${query.toString()}`,
    protocol ? [protocol] : [],
    handling,
  );
  const closed = Promise.withResolvers<void>();
  ws.on('message', (data: Buffer) => frames.push(data.toString()));
  ws.on('error', () => {});
  ws.on('unexpected-response', (_request, response) => {
    void text(response).then((body) => {
      frames.push(`${response.statusCode} ${response.headers['content-type']} ${body}`);
      ws.terminate();
    });
  });
  ws.on('close', (code, reason) => {
    frames.push(`${code} ${reason.toString()}`.trim());
    closed.resolve();
  });
  return {
    ws,
    frames,
    say: (id: string, words: string) => ws.send(JSON.stringify({ type: 'say', id, text: words })),
    /** The next frame of that type, parsed. */
    async next(type: string): Promise<Record<string, unknown> & { id: string; cursor: string }> {
      return JSON.parse(await frames.find(type, (frame) => frame.startsWith(`{"type":"${type}"`)));
    },
    /** The close code and its reason, or the status. */
    end: () => frames.find('the end', (frame) => /^\d/.test(frame)),
    async [Symbol.asyncDispose]() {
      ws.terminate();
      await closed.promise;
      frames.close();
    },
  };
}
