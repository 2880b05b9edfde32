/**
 * One connection of the client: it opens it, counts its lanes, and sends requests on them. It ends by itself when the server goes
 * (GOAWAY), dies, or is not there any more (liveness.ts).
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Readable } from 'node:stream';
import { type RequestBody, replyOf, sendBody } from './body.ts';
import { explain, Http2Error } from './http2-error.ts';
import { type LivenessOptions, watchLiveness } from './liveness.ts';

/** Until the server's settings are here: what the specification recommends as the least that a server allows [RFC 9113 §6.5.2]. */
const STREAMS_AT_FIRST = 100;

/** What may be on its way to us in all. By default 64 KiB: all streams together would then get no more in one round trip. */
const WINDOW_BYTES = 1024 * 1024;

export interface SessionOptions extends LivenessOptions {
  /** PEM of whom to trust; without it, the authorities that Node knows. */
  ca?: string | undefined;
}

export interface Exchange {
  readonly headers: OutgoingHttpHeaders;
  readonly body: RequestBody | undefined;
  /** Resets the stream, also while the body of the answer is read. */
  readonly signal: AbortSignal | undefined;
  /** When the head of the answer has to be here, by `performance.now()`. */
  readonly deadline: number;
  /** How long it may wait for a lane. */
  readonly queueMs: number;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** To be read to its end, or destroyed: until then its lane is taken. Cut off, it fails with an `Http2Error`. */
  readonly body: Readable;
  /** Reads it all, instead of `body`. @throws {Http2Error} */
  text(): Promise<string>;
  /** The fields that came behind the body; none before its end. */
  trailers(): IncomingHttpHeaders;
}

export class Session {
  readonly #session: ClientHttp2Session;
  readonly #onChange: () => void;
  #streams = 0;
  #limit = STREAMS_AT_FIRST;
  #lastId: number | undefined;
  #failure: Error | undefined;
  #isConnected = false;
  #isGone = false;

  /** @param onChange is told that a lane may have become free, or that the session is over. */
  constructor(url: string, { ca, ...liveness }: SessionOptions, onChange: () => void) {
    this.#onChange = onChange;
    const session = connect(url, { ...(ca ? { ca } : {}), settings: { enablePush: false } });
    this.#session = session;
    watchLiveness(session, liveness);
    session.once('connect', () => {
      this.#isConnected = true;
      session.setLocalWindowSize(WINDOW_BYTES);
    });
    session.on('remoteSettings', ({ maxConcurrentStreams = STREAMS_AT_FIRST }) => {
      this.#limit = maxConcurrentStreams;
      onChange();
    });
    session.on('goaway', (_code, lastId) => {
      this.#lastId = lastId;
    });
    session.on('error', (error) => {
      this.#failure = error;
    });
    session.once('close', () => {
      this.#isGone = true;
      onChange();
    });
  }

  /** Whether no more streams can be opened. Those that are open may go on. */
  get isOver(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  get hasFreeLane(): boolean {
    return !this.isOver && this.#streams < this.#limit;
  }

  // #region exchange
  /** Sends a request, and resolves with the head of the answer. @throws {Http2Error} */
  exchange({ headers, body, signal, deadline }: Exchange): Promise<Reply> {
    const stream = this.#session.request(headers, { endStream: body === undefined, ...(signal ? { signal } : {}) });
    this.#streams++;
    if (body !== undefined) sendBody(body, stream);
    return new Promise((resolve, reject) => {
      let cause: unknown;
      let state: 'waiting' | 'answered' | 'late' = 'waiting';
      const late = setTimeout(() => {
        state = 'late';
        stream.close(constants.NGHTTP2_CANCEL);
      }, deadline - performance.now());
      stream.on('response', (answer) => {
        state = 'answered';
        clearTimeout(late);
        resolve(replyOf(stream, answer, () => this.#explain(stream, signal, cause)));
      });
      stream.on('error', (error) => (cause = error));
      stream.on('close', () => {
        this.#streams--;
        this.#onChange();
        if (state === 'answered') return; // an error is made for whoever waits: it costs more than all the rest
        clearTimeout(late);
        if (state === 'late') reject(new Http2Error('timeout', 'no answer within the time allowed'));
        else reject(this.#explain(stream, signal, cause));
      });
    });
  }

  #explain(stream: ClientHttp2Stream, signal: AbortSignal | undefined, cause: unknown): Http2Error {
    if (signal?.aborted) return new Http2Error('aborted', 'aborted by the caller', { cause: signal.reason });
    return explain({
      stream,
      cause: this.#failure ?? cause,
      isConnected: this.#isConnected,
      isGone: this.#session.destroyed,
      lastId: this.#lastId,
    });
  }
  // #endregion

  /** Whether the connection itself is gone. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Resets what is open, and resolves when the connection is gone. */
  destroy(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isGone) return resolve();
      this.#session.once('close', resolve);
      this.#session.destroy();
    });
  }
}
