/**
 * The engine that is cheap: node:http in front, undici's `dispatch` behind, and between the two one handler object a request.
 *
 * No framework, no streams piped into each other, no header object: raw headers go in and out as the flat arrays that both sides
 * speak, and an answer that came in one piece leaves in one write. Same contract as express-engine.ts, at a fraction of its cost.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import { formatLine } from './access-log.ts';
import type { Engine, EngineOptions, Head, OnHead, Send } from './engine.ts';
import { type Exchange, inOrder } from './exchange.ts';
import type { Upstream } from './target.ts';
import { explain } from './undici-engine-errors.ts';
import { batchingLimiter } from './undici-engine-limiter.ts';

/** An engine that keeps its connections to the app open, and opens as many as there are requests under way. */
export function createUndiciEngine({ upstream, timeouts, log }: EngineOptions): Engine {
  const pool = new Pool(originOf(upstream), {
    ...('socketPath' in upstream && { socketPath: upstream.socketPath }),
    connectTimeout: timeouts.connectMs,
    headersTimeout: timeouts.headersMs,
    bodyTimeout: timeouts.idleMs,
    pipelining: 1, // a slow answer must not stand in the way of the next one
  });
  const send: Send = (exchange, { method, path, headers, hasBody }, onHead) =>
    new Promise((resolve, reject) => {
      const relay = new Relay(exchange, onHead, resolve, reject);
      // Not the request itself: undici would destroy it, and with it the connection on which the client waits for its answer.
      const body = hasBody ? exchange.request.iterator({ destroyOnReturn: false }) : null;
      // `dispatch` reports what is wrong with these to the relay.
      pool.dispatch({ method, path, headers: hasBody ? withoutChunked(headers) : headers, body: body as never }, relay);
    });
  return {
    listener: (powers) => inOrder(powers, log),
    // winston's pipeline costs more than the line.
    logger: (output) => (line) => void output.write(`${formatLine({ level: 'info', message: 'request', ...line })}\n`),
    limiter: batchingLimiter,
    send,
    // Whoever disposes has waited for the requests; what is left is idle, or has to go.
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

/** Passes on one answer, as it comes. */
class Relay implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;
  readonly #onHead: OnHead;
  readonly #resolve: () => void;
  readonly #reject: (reason: Error) => void;
  #head: Head | undefined;
  /** The length of the body, where the app has told it: a body that comes in one piece goes out together with its head. */
  #length = -1;
  #whole: Buffer | undefined;
  #abortedBy: Error | undefined;

  constructor(exchange: Exchange, onHead: OnHead, resolve: () => void, reject: (reason: Error) => void) {
    this.#exchange = exchange;
    this.#onHead = onHead;
    this.#resolve = resolve;
    this.#reject = reject;
    // Till it has a connection there is nothing to abort, and nobody to wait for.
    exchange.abort = (reason) => {
      this.#abortedBy = reason;
      this.#fail(reason);
    };
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#abortedBy) controller.abort(this.#abortedBy);
    else
      this.#exchange.abort = (reason) => {
        this.#abortedBy = reason;
        controller.abort(reason);
      };
  }

  // #region relay
  onResponseStart({ rawHeaders }: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return; // an interim answer: the one that counts is still to come [RFC 9110 §15.2]
    this.#head = this.#onHead(status, textOf(rawHeaders as Buffer[]));
    this.#length = Number(headers['content-length'] ?? -1);
    this.#exchange.response.writeHead(status, this.#head.headers);
    // A stream's head is worth something by itself: its first event may be minutes away.
    if (this.#length === -1) this.#exchange.response.flushHeaders();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#head?.onChunk?.(chunk);
    const { response } = this.#exchange;
    if (chunk.length === this.#length) this.#whole = chunk;
    else if (!response.write(chunk)) {
      controller.pause();
      response.once('drain', () => controller.resume());
    }
  }

  onResponseEnd(): void {
    this.#exchange.abort = undefined;
    endWith(this.#exchange.response, this.#whole);
    this.#resolve();
  }
  // #endregion

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  #fail(error: Error): void {
    this.#exchange.abort = undefined;
    this.#reject(error === this.#abortedBy ? error : explain(error, this.#head !== undefined));
  }
}

/**
 * Head and body in one write: as text, because Node puts a head and a text together, and a head and a buffer side by side. Half of
 * what an answer costs is the system call that sends it. Larger ones are better not copied.
 */
function endWith(response: ServerResponse, body: Buffer | undefined): void {
  if (body !== undefined && body.length <= ONE_WRITE_BYTES) response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
}

const ONE_WRITE_BYTES = 16_384;

const textOf = (rawHeaders: readonly Buffer[]) => rawHeaders.map((each) => each.toString('latin1'));

/** undici frames a body itself, by its length or in chunks, and wants to hear nothing of it. */
function withoutChunked(headers: readonly string[]): string[] {
  return headers.filter((_, i) => headers[i & ~1]!.toLowerCase() !== 'transfer-encoding');
}

/** The authority is not used: the Host that the client meant goes along in the headers. */
function originOf(upstream: Upstream): string {
  if ('socketPath' in upstream) return 'http://app';
  return `http://${upstream.host.includes(':') ? `[${upstream.host}]` : upstream.host}:${upstream.port}`;
}
