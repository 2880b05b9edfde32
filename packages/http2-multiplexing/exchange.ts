/**
 * One request carried on, and its answer carried back, both while they come: nothing is collected, so an event passes at once,
 * and a big body is sent no faster than it is read at the other end. Both proxies do this alike; `ask` is where they differ.
 *
 * Ends with the answer; when the client leaves, whose request is then aborted upstream; or with an error that says whose it is:
 * 400 and 408 the client's, 502 and 504 the upstream's, 503 ours.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Log } from '@patterns/kit/log';
import { answerError, HttpProblem } from '@patterns/kit/problem';
import { toTraceparent, traceOf } from '@patterns/kit/trace';
import { drained } from './drained.ts';
import { type CheckedRequest, checkRequest, checkResponse, MalformedError, type RawFields } from './headers.ts';

/** What is asked upstream. */
export interface Question extends CheckedRequest {
  /** Undefined when there is none. It is read when somebody is there to take it. */
  readonly body: Readable | undefined;
  /** Whether it is the client that lets us wait for more of the body, and not the upstream that does not take what is here. */
  readonly isClientSlow: () => boolean;
  /** Aborts when the client has left. */
  readonly signal: AbortSignal;
  /** Is told the fields of a 103. */
  readonly onHints: (raw: RawFields) => void;
}

/** Disposing it gives back what it holds upstream. */
export interface Answer extends Disposable {
  readonly status: number;
  readonly raw: RawFields;
  /** In which version it came. */
  readonly version: string;
  readonly body: AsyncIterable<Uint8Array>;
  /** The fields behind the body, when that has been read. */
  readonly trailers: () => RawFields;
}

/** Asks upstream. @throws {HttpProblem} when there is no answer. */
export type Ask = (question: Question) => Promise<Answer>;

/** Over HTTP/2 there is a stream below it. */
export type ProxyResponse = ServerResponse & { readonly stream?: ServerHttp2Stream };

export interface ExchangeOptions {
  log: Log;
  /** A client that neither sends nor takes anything for so long has left without a word. */
  silenceMs: number;
  onFailure?: (status: number) => void;
}

/** Makes a handler of requests. It ends each of them, whatever happens, and never throws. */
export function createExchange(ask: Ask, { log, silenceMs, onFailure }: ExchangeOptions) {
  async function answer(request: IncomingMessage, response: ProxyResponse): Promise<void> {
    const left = new AbortController();
    // Not `writableFinished`: over HTTP/2 it is true as soon as the stream is closed, whatever was sent.
    response.once('close', () => response.writableEnded || left.abort());
    response.setTimeout(silenceMs, () => cutOff(response));
    try {
      await exchange(request, response, ask, left.signal);
    } catch (error) {
      if (left.signal.aborted) return;
      if (error instanceof HttpProblem) onFailure?.(error.status);
      if (!(error instanceof HttpProblem) || error.status >= 500) log.warn('not answered as asked', { error });
      if (response.headersSent) return cutOff(response);
      answerError(log, response, error);
    }
    // The answer is complete, and the request is not: the rest of it is wanted by nobody [RFC 9113 §8.1].
    if (hasBody(request, response) && !request.complete) response.stream?.close(constants.NGHTTP2_NO_ERROR);
  }
  // A stream may be gone at any moment: what Node throws then is that stream's own affair.
  return (request: IncomingMessage, response: ProxyResponse): void =>
    void answer(request, response).catch(() => cutOff(response));
}

// #region exchange
async function exchange(request: IncomingMessage, response: ProxyResponse, ask: Ask, signal: AbortSignal) {
  const question = checked(400, () => checkRequest(headOf(request, response)));
  question.fields.traceparent = toTraceparent(traceOf(response)); // a span of our own, in the caller's trace
  const body = hasBody(request, response) ? Readable.from(read(request, response), { objectMode: false }) : undefined;
  const isClientSlow = () => !request.readableEnded && request.readableLength === 0;
  using answer = await ask({ ...question, body, isClientSlow, signal, onHints: (raw) => sendHints(response, raw) });

  const { status } = answer;
  response.writeHead(
    status,
    checked(502, () => checkResponse(answer.raw, answer)),
  );
  if (request.method !== 'HEAD' && status !== 204 && status !== 304) response.flushHeaders();
  for await (const chunk of answer.body) if (!response.write(chunk)) await drained(response);
  const { via: _, ...trailers } = checkResponse(answer.trailers(), answer);
  response.addTrailers(trailers as Record<string, string>);
  response.end();
}
// #endregion

function checked<T>(status: number, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new HttpProblem(status, { detail: error.message, cause: error });
  }
}

const headOf = (request: IncomingMessage, response: ProxyResponse) => ({
  method: request.method!,
  target: request.url!,
  raw: request.rawHeaders,
  version: request.httpVersion,
  from: request.socket.remoteAddress ?? 'unknown',
  scheme: (request.socket as TLSSocket).encrypted ? ('https' as const) : ('http' as const),
  hasBody: hasBody(request, response),
});

/** Over HTTP/2 a flag of the first frame tells; over HTTP/1.1 a field, as Node has checked already [RFC 9112 §6.3]. */
function hasBody({ headers }: IncomingMessage, { stream }: ProxyResponse): boolean {
  if (stream) return !stream.endAfterHeaders;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Begins when somebody upstream takes the first byte: only then is a client that asks first told to go on [RFC 9110 §10.1.1]. */
async function* read(request: IncomingMessage, response: ServerResponse): AsyncGenerator<Buffer> {
  if (request.headers.expect) response.writeContinue();
  yield* request.iterator({ destroyOnReturn: false });
}

function sendHints(response: ServerResponse, raw: RawFields): void {
  try {
    const { via: _, ...fields } = checkResponse(raw, { status: 103, version: '1.1' });
    if (fields.link && !response.headersSent) response.writeEarlyHints(fields as Record<string, string>);
  } catch {
    // A hint that cannot be passed on is none; what it hints at still comes.
  }
}

/** The answer has begun and cannot go on: it must not look as if it were complete. */
function cutOff(response: ProxyResponse): void {
  if (response.stream) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else response.destroy();
}
