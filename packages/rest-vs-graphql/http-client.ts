/**
 * Questions over connections that are kept open, and what they cost: on the wire, and in the server's database, where the
 * server says so. One client is one viewer, with a cache of its own (`private-cache.ts`).
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { CallError } from './call-error.ts';
import { PrivateCache } from './private-cache.ts';
import { SQL_STATEMENTS_HEADER } from './protocol.ts';

export interface Cost {
  requests: number;
  /** How often the client began to wait with nothing under way: what is asked side by side is one round trip. */
  roundTrips: number;
  /** In both directions, heads included. */
  bytes: number;
  statements: number;
  /** Answered 304: the round trip was made, and no body came. */
  notModified: number;
  /** Answered by the cache alone. */
  notSent: number;
}

export interface Question {
  method?: 'GET' | 'POST';
  headers?: Readonly<Record<string, string>>;
  body?: string;
}

export interface Answer {
  readonly status: number;
  /** The media type, without parameters. */
  readonly type: string;
  readonly body: unknown;
}

export interface HttpClientOptions {
  /** Says who asks; nobody in particular without it. */
  token?: string | undefined;
  signal?: AbortSignal | undefined;
  /** For one answer, to its last byte. 10 s: a person has gone by then. */
  timeoutMs?: number;
  /** 64: as good as no limit, as over HTTP/2. Over HTTP/1.1 a browser opens six to a server, and what comes then waits. */
  connections?: number;
  /** Whether answers are kept, to be used again. */
  caching?: boolean;
}

export interface HttpClient extends Disposable {
  /** Any status is an answer. @throws {CallError} `network`, `timeout` or `protocol`. */
  ask(url: URL, question?: Question): Promise<Answer>;
  /** What was spent since this was called last. */
  takeCost(): Cost;
}

/** Opens the connections when they are needed, and closes them when disposed. */
export function openHttpClient(options: HttpClientOptions = {}): HttpClient {
  const { token, signal, timeoutMs = 10_000, connections = 64, caching = true } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const cache = new PrivateCache<Answer>();
  const bytesSince = byteCounter();
  let cost = noCost();
  let underWay = 0;

  // #region ask
  async function ask(url: URL, question: Question = {}): Promise<Answer> {
    if (question.method === 'POST') return readAnswer(await send(url, question));
    const known = cache.fresh(url);
    if (known) {
      cost.notSent++;
      return known;
    }
    const etag = cache.etag(url);
    const received = await send(url, question, etag && { 'If-None-Match': etag });
    const renewed = received.status === 304 ? cache.renewed(url, received.headers) : undefined;
    if (renewed) {
      cost.notModified++;
      return renewed;
    }
    const answer = readAnswer(received);
    if (answer.status === 200 && caching) cache.store(url, received.headers, answer);
    else cache.remove(url);
    return answer;
  }
  // #endregion

  async function send(url: URL, { method = 'GET', headers = {}, body }: Question, more: Conditions = {}) {
    const late = AbortSignal.timeout(timeoutMs);
    cost.requests++;
    if (underWay++ === 0) cost.roundTrips++;
    try {
      const request = httpRequest(url, {
        method,
        agent,
        signal: signal ? AbortSignal.any([signal, late]) : late,
        headers: {
          ...headers,
          ...more,
          ...(token && { Authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }),
        },
      });
      const answered = Promise.withResolvers<IncomingMessage>();
      request.on('response', answered.resolve).on('error', answered.reject).end(body);
      const response = await answered.promise;
      const { socket, headers: received, statusCode: status = 0 } = response; // at its end the socket is the next question's
      const answer = { status, headers: received, body: await text(response) };
      cost.bytes += bytesSince(socket);
      cost.statements += Number(received[SQL_STATEMENTS_HEADER.toLowerCase()] ?? 0);
      return answer;
    } catch (cause) {
      signal?.throwIfAborted();
      if (late.aborted) throw new CallError('timeout', `no answer within ${timeoutMs} ms`, { cause });
      throw new CallError('network', `no answer: ${(cause as Error).message}`, { cause });
    } finally {
      underWay--;
    }
  }

  return {
    ask,
    takeCost() {
      const taken = cost;
      cost = noCost();
      return taken;
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

type Conditions = Readonly<Record<string, string>> | '' | undefined;

function readAnswer({ status, headers, body }: Pick<Answer, 'status'> & Received): Answer {
  const type = (headers['content-type'] ?? '').split(';', 1)[0]!.trim();
  try {
    if (/[/+]json$/.test(type)) return { status, type, body: JSON.parse(body) as unknown };
  } catch {} // then it is not JSON, whatever it says
  throw new CallError('protocol', `not JSON: ${status} ${type} ${body.slice(0, 80)}`, { status });
}

interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A connection goes on counting from one question to the next. */
function byteCounter() {
  const counted = new WeakMap<Socket, number>();
  return (socket: Socket): number => {
    const all = socket.bytesRead + socket.bytesWritten;
    const before = counted.get(socket) ?? 0;
    counted.set(socket, all);
    return all - before;
  };
}

const noCost = (): Cost => ({ requests: 0, roundTrips: 0, bytes: 0, statements: 0, notModified: 0, notSent: 0 });
