/**
 * A client with one session: every request is a lane of the same connection, and the connection is opened when it is needed.
 *
 * When the server goes (GOAWAY), or is gone, the next request opens another. Asked again by itself is only what is then not done
 * twice: a request with which the server did nothing, and an idempotent one of whose answer nothing has come.
 */
import { readFile } from 'node:fs/promises';
import type { OutgoingHttpHeaders } from 'node:http2';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '@patterns/kit/main';
import type { RequestBody } from './body.ts';
import { Http2Error } from './http2-error.ts';
import { Lanes } from './lanes.ts';
import { ITEMS, itemPath } from './protocol.ts';
import { type Reply, Session } from './session.ts';

export interface ClientOptions {
  /** PEM of whom to trust; without it, the authorities that Node knows. */
  ca?: string | undefined;
  /** Closes the client. */
  signal?: AbortSignal | undefined;
  connectMs?: number;
  /** From asking to the head of the answer, with the waiting and all attempts. */
  requestMs?: number;
  /** How often the server is asked whether it is there: a peer that vanished is never reported to a reader by TCP. */
  pingMs?: number;
  /** Requests that may wait for a lane; beyond, `queue-full` at once. */
  maxQueued?: number;
  /** How long a request may wait for a lane; then, `queue-late`. */
  queueMs?: number;
  /** How often a request is sent at most. */
  maxAttempts?: number;
  /** The least pause before a connection is tried again; it doubles. */
  backoffMs?: number;
}

export interface RequestOptions {
  method?: string;
  headers?: OutgoingHttpHeaders;
  /** A stream can be read once: such a request is sent once. */
  body?: RequestBody | undefined;
  /** Resets the stream (CANCEL). */
  signal?: AbortSignal | undefined;
  /** Whether asking twice does no more than asking once. Without it the method tells [RFC 9110 §9.2.2]. */
  idempotent?: boolean;
}

export interface Client extends AsyncDisposable {
  /** Resolves with the head of the answer, whatever its status. @throws {Http2Error} when there is none. */
  request(path: string, options?: RequestOptions): Promise<Reply>;
  /** Connections opened so far. */
  readonly sessions: number;
  /** Requests that wait for a lane now. */
  readonly queued: number;
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** A client of the server at `url`. It opens its connection with the first request. */
export function openClient(
  url: string,
  {
    ca,
    signal: ending,
    connectMs = 5_000,
    requestMs = 30_000,
    pingMs = 15_000,
    maxQueued = 1_000,
    queueMs = requestMs,
    maxAttempts = 4,
    backoffMs = 100,
  }: ClientOptions = {},
): Client {
  const lanes = new Lanes((onChange) => new Session(url, { ca, connectMs, pingMs }, onChange), maxQueued);

  // #region retry
  async function request(path: string, options: RequestOptions = {}): Promise<Reply> {
    const { method = 'GET', headers, body, signal, idempotent = IDEMPOTENT.has(method) } = options;
    const deadline = performance.now() + requestMs;
    const exchange = { headers: { ...headers, ':method': method, ':path': path }, body, signal, deadline, queueMs };
    for (let attempt = 1; ; attempt++) {
      try {
        return await lanes.exchange(exchange);
      } catch (error) {
        if (!(error instanceof Http2Error) || attempt >= maxAttempts || body instanceof Readable) throw error;
        if (error.retry === 'never' || (error.retry === 'if-idempotent' && !idempotent)) throw error;
        // A server that is away is not there the next millisecond. One that said it goes has a successor.
        const backoff = error.code === 'refused' ? 0 : backoffMs * 2 ** attempt * Math.random();
        await delay(backoff, undefined, { signal }).catch(() => {}); // an abort is told by the next attempt
      }
    }
  }
  // #endregion

  const close = () => void lanes.close();
  if (ending?.aborted) close();
  else ending?.addEventListener('abort', close, { once: true });
  return {
    request,
    get sessions() {
      return lanes.opened;
    },
    get queued() {
      return lanes.queued;
    },
    async [Symbol.asyncDispose]() {
      ending?.removeEventListener('abort', close);
      await lanes.close();
    },
  };
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [, , url, ca] = process.argv;
    if (!url) return console.log('usage: node client.ts <url of a server> <file with its certificate>');
    await using client = openClient(url, { signal, ca: ca && (await readFile(ca, 'utf8')) });
    const startedAt = performance.now();
    const items = await Promise.all(
      Array.from({ length: ITEMS }, async (_, index) => (await client.request(itemPath(index + 1))).text()),
    );
    console.log(
      `${items.length} items in ${Math.round(performance.now() - startedAt)} ms, over ${client.sessions} connection`,
    );
    console.log(`the last of them: ${items.at(-1)}`);
  });
}
