/**
 * Asks an HTTP/1.1 backend, and says of a question that was not answered whose fault that is, and whether another is asked.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { Dispatcher } from 'undici';
import type { Answer, Ask, Question } from './exchange.ts';
import type { Backend } from './upstream-backend.ts';
import type { Place, UpstreamPool } from './upstream-pool.ts';

export interface AskOptions {
  upstream: UpstreamPool;
  /** Until a backend begins to answer. 10 s: about as long as a person waits. */
  answerMs: number;
  /** Between two pieces of its answer. */
  silenceMs: number;
  onEjected: (backend: Backend, cause: unknown) => void;
}

/** Asking twice does no more than asking once [RFC 9110 §9.2.2]. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** There is no way to it: that is said of the backend, not of one request. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT']);

/** The connection ended before an answer: it may have been idle for too long, or the backend has died. */
const LOST = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** Asks the backend that is least busy; another one, once, where that is safe. */
export function askBackends({ upstream, answerMs, silenceMs, onEjected }: AskOptions): Ask {
  // #region ask
  return async (question) => {
    let failed: Backend | undefined;
    for (;;) {
      const place = await upstream.acquire(question.signal, failed);
      const { backend } = place;
      let hasBegun = false;
      const onInfo = ({ statusCode, headers }: { statusCode: number; headers: unknown }) => {
        hasBegun = true;
        if (statusCode === 103) question.onHints(headers as string[]);
      };
      try {
        return await send(question, place, { headersTimeout: answerMs, bodyTimeout: silenceMs, onInfo });
      } catch (error) {
        place[Symbol.dispose]();
        question.signal.throwIfAborted();
        const { code = '' } = error as NodeJS.ErrnoException;
        if (UNREACHABLE.has(code)) {
          upstream.eject(backend);
          onEjected(backend, error);
        }
        // A body can be read once: what has one is not sent again, whatever its method.
        const isRepeatable = IDEMPOTENT.has(question.method) && !question.body && !hasBegun;
        if (failed || !isRepeatable || !(UNREACHABLE.has(code) || LOST.has(code))) throw explain(error);
        failed = backend;
      }
    }
  };
  // #endregion
}

async function send(
  { method, path, authority, fields, body, signal }: Question,
  { backend, ...place }: Place,
  options: Pick<Dispatcher.RequestOptions, 'headersTimeout' | 'bodyTimeout' | 'onInfo'>,
): Promise<Answer> {
  // undici writes the framing: the length we give, to which it holds the body, or chunks.
  const asked = await backend.pool.request({
    ...options,
    method: method as Dispatcher.HttpMethod,
    path,
    headers: { host: authority, ...fields },
    body: body ?? null,
    signal,
    responseHeaders: 'raw', // one by one, as they came
  });
  return {
    status: asked.statusCode,
    raw: asked.headers as unknown as string[],
    version: '1.1',
    body: asked.body,
    trailers: () => Object.entries(asked.trailers).flat(),
    [Symbol.dispose]() {
      // Nothing when it has been read to its end; else the connection is closed, for there is no other way to stop it.
      asked.body.on('error', () => {}).destroy();
      place[Symbol.dispose]();
    },
  };
}

/** 504: it did not answer. 502: it died, or answered what is no answer. 400: it was not its fault. */
function explain(error: unknown): HttpProblem {
  const { code = '' } = error as NodeJS.ErrnoException;
  const problem = (status: number, detail: string) => new HttpProblem(status, { detail, cause: error });
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return problem(504, 'the backend did not answer in time');
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return problem(504, 'the backend could not be reached in time');
  if (code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH') return problem(400, 'the content is not as long as it says');
  if (UNREACHABLE.has(code)) return problem(502, 'the backend could not be reached');
  if (LOST.has(code)) return problem(502, 'the backend hung up');
  return problem(502, 'the backend gave an answer that is none');
}
