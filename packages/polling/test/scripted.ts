/** A real server that answers each poll as a test says, and notes when it was asked: for what no well-behaved server does. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Listening, listen } from '@patterns/kit/listen';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { encodeUpdates } from '../protocol.ts';

export interface Asked {
  readonly at: number;
  readonly url: string;
  readonly etag: string | undefined;
}

type Reply = (response: ServerResponse, request: IncomingMessage) => void;

/** Answers the nth poll with the nth reply, and all later ones with the last. */
export async function startScripted(replies: Reply[]) {
  const asked = new EventQueue<Asked>();
  const counts = { connections: 0, inFlight: 0, mostInFlight: 0 };
  let polls = 0;
  const server = createServer((request, response) => {
    counts.inFlight += 1;
    counts.mostInFlight = Math.max(counts.mostInFlight, counts.inFlight);
    response.on('close', () => (counts.inFlight -= 1));
    asked.push({ at: performance.now(), url: request.url ?? '', etag: request.headers['if-none-match'] });
    const reply = replies[Math.min(polls++, replies.length - 1)]!;
    reply(response, request);
  });
  server.on('connection', () => (counts.connections += 1));
  const listening: Listening = await listen(server, { graceMs: 100 });
  return { url: listening.url, asked, counts, [Symbol.asyncDispose]: () => listening.close() };
}

type Headers = Record<string, string>;

export const status =
  (code: number, headers: Headers = {}, body = ''): Reply =>
  (response) =>
    void response.writeHead(code, headers).end(body);

export const nothing = (headers: Headers = {}): Reply => status(200, headers, encodeUpdates([], '1-0', false));

export const order = (version: number, state: string): Reply =>
  status(200, {}, JSON.stringify({ id: '7', status: state, version, at: 1 }));
