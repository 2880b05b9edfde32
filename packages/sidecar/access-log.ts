/**
 * One line per request, when it is over, of what is on the list and nothing else: no body, no query that is not named, no header
 * that is not named. A list of what is secret is always one entry short; the list of what is not can only be too short itself
 * (CWE-532). Values are JSON strings of bounded length, so none of them can end a line, or colour a terminal (CWE-117).
 *
 * A log that is full must not hold up requests: lines that the disk does not take are dropped, and counted.
 */
import type { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Engine } from './engine.ts';
import { exchangeOf, type Power } from './exchange.ts';
import type { Metrics } from './metrics.ts';

export interface AccessLogOptions {
  /** Where the lines go. */
  output: Writable;
  /** Request headers that are logged, in lower case. */
  headers: readonly string[];
  /** Query parameters that are logged with their values; of others there is only the number. */
  query: readonly string[];
  /** Bytes that may wait for a slow output. */
  maxPendingBytes: number;
}

/** Writes one line, given as its fields. */
export type WriteLine = (line: Readonly<Record<string, unknown>>) => void;

export interface AccessLog extends AsyncDisposable {
  readonly power: Power;
}

const MAX_VALUE = 256;
/** Lines that come within so long leave in one write; a person who reads along does not notice. */
const TOGETHER_MS = 10;
const TOGETHER_BYTES = 16_384;
/** What the end of the process waits for the output. */
const FLUSH_MS = 1_000;

// #region line
/** Writes one line per request. Disposed, it has written what was pending. */
export function openAccessLog(
  { output, headers, query, maxPendingBytes }: AccessLogOptions,
  metrics: Metrics,
  logger: Engine['logger'],
): AccessLog {
  const lines = new BoundedLines(output, maxPendingBytes, () => metrics.droppedLines.inc());
  const write = logger(lines);
  const wanted = new Set(query);

  function over(this: ServerResponse): void {
    const exchange = exchangeOf(this);
    const { request } = exchange;
    const [path = '', search] = exchange.path.split('?', 2);
    const line: Record<string, unknown> = {
      at: new Date().toISOString(),
      traceId: exchange.trace.traceId,
      client: exchange.client,
      method: request.method,
      path: bounded(path),
      status: this.headersSent ? this.statusCode : undefined, // the client left before there was one
      durationMs: round(performance.now() - exchange.startedAt),
      upstreamMs: exchange.upstreamMs === undefined ? undefined : round(exchange.upstreamMs),
      attempts: exchange.attempts,
      cache: exchange.cache,
      subject: exchange.subject && bounded(exchange.subject),
      // Not `writableEnded`: a big answer has ended long before the client has it.
      aborted: !this.writableFinished,
    };
    if (search) line.query = allowed(search, wanted);
    for (const name of headers) if (request.headers[name]) line[name] = bounded(String(request.headers[name]));
    write(line);
  }
  // #endregion

  return {
    power(_request, response, next) {
      response.once('close', over);
      next();
    },
    // An output that is stuck does not keep the process from ending.
    [Symbol.asyncDispose]: () => Promise.race([lines.flush(), delay(FLUSH_MS, undefined, { ref: false })]),
  };
}

const round = (milliseconds: number) => Math.round(milliseconds * 10) / 10;
const bounded = (text: string) => (text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text);

function allowed(search: string, wanted: ReadonlySet<string>): Record<string, unknown> {
  const query: Record<string, unknown> = {};
  let others = 0;
  for (const [name, value] of new URLSearchParams(search.slice(0, 2_000))) {
    if (wanted.has(name)) query[name] = bounded(value);
    else others++;
  }
  return others > 0 ? { ...query, others } : query;
}

/** JSON leaves DEL and the C1 controls as they are, and 0x9b alone begins an escape sequence on some terminals. */
export function formatLine(line: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(line).replace(CONTROLS, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
const CONTROLS = /[\u007f-\u009f\u2028\u2029]/g;

// #region drop
/** Collects lines for a moment and writes them together, unless too much is waiting already: each write is a system call. */
class BoundedLines extends Writable {
  readonly #output: Writable;
  readonly #maxPendingBytes: number;
  readonly #onDrop: () => void;
  #lines = '';

  constructor(output: Writable, maxPendingBytes: number, onDrop: () => void) {
    super({ decodeStrings: false });
    this.#output = output;
    this.#maxPendingBytes = maxPendingBytes;
    this.#onDrop = onDrop;
  }

  override _write(line: string, _encoding: string, taken: () => void): void {
    taken(); // at once: no logger may wait, or requests would wait for it
    if (this.#output.writableLength + this.#lines.length > this.#maxPendingBytes) {
      this.#onDrop();
      return;
    }
    if (this.#lines === '') setTimeout(() => void this.flush(), TOGETHER_MS);
    this.#lines += line;
    if (this.#lines.length > TOGETHER_BYTES) void this.flush();
  }

  flush(): Promise<void> {
    const lines = this.#lines;
    this.#lines = '';
    if (lines === '' || this.#output.destroyed) return Promise.resolve();
    return new Promise((resolve) => this.#output.write(lines, () => resolve()));
  }
}
// #endregion
