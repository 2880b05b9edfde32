/**
 * What an engine is: the part of the sidecar that runs the powers, counts requests, and moves bytes to the app and back.
 * There are two, and one contract (test/contract.ts): Express with express-http-proxy, and node:http with undici.
 */
import type { RequestListener } from 'node:http';
import type { Writable } from 'node:stream';
import type { Log } from '@patterns/kit/log';
import type { WriteLine } from './access-log.ts';
import type { Exchange, Power } from './exchange.ts';
import type { LimiterOptions } from './rate-limit.ts';
import type { Upstream } from './target.ts';

export interface Timeouts {
  /** Until the app accepts the connection. 1 s: it is on this machine, or it is not there. */
  connectMs: number;
  /** From the request sent to the head of the answer. */
  headersMs: number;
  /** Between two pieces of a body. An event stream must send its heartbeat more often. */
  idleMs: number;
  /** From the first byte of the request to the last of the answer; an event stream is exempt. */
  totalMs: number;
}

export interface EngineOptions {
  /** The only address that is ever connected to. */
  upstream: Upstream;
  timeouts: Timeouts;
  log: Log;
}

export interface Engine extends AsyncDisposable {
  /** Runs the powers, the first one outermost. */
  listener(powers: readonly Power[]): RequestListener;
  /** Writes the lines of the access log to `output`, one with each call. */
  readonly logger: (output: Writable) => WriteLine;
  /** The power that counts a client's requests, and answers 429. */
  limiter(options: LimiterOptions): Power;
  /** Asks the app once, and passes on its answer. */
  readonly send: Send;
}

/**
 * Sends `outgoing` and relays the answer to `exchange.response`: calls `onHead` once when the head is there, writes the headers
 * that it returns (with `response.writeHead(status, headers)`), then the body, piece by piece. Meanwhile `exchange.abort` is set.
 * Resolves when the answer has been passed on whole.
 * @throws {UpstreamError} when there was none, or only a part; or the reason that `exchange.abort` was called with.
 */
export type Send = (exchange: Exchange, outgoing: Outgoing, onHead: OnHead) => Promise<void>;

export interface Outgoing {
  readonly method: string;
  readonly path: string;
  /** Flat, as `rawHeaders` is: name, value, name, value. Complete, the framing and Host included; none is hop-by-hop. */
  readonly headers: string[];
  /** Whether `exchange.request` is to be read and sent. */
  readonly hasBody: boolean;
}

/** Takes the app's status and raw headers, gives those for the client (flat), and who else wants the body. */
export type OnHead = (status: number, rawHeaders: readonly string[]) => Head;

export interface Head {
  readonly headers: string[];
  /** Sees each piece beside its being sent on. */
  readonly onChunk?: ((chunk: Buffer) => void) | undefined;
}
