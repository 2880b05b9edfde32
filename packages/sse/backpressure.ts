/**
 * What stands between the feed and a response that somebody reads slowly, or not at all.
 *
 * Two things happen here, and they belong together:
 *  - Frames that become pending for a stream in one pass of the event loop leave in one write. A write is a system call and
 *    costs the same for one event as for twenty, so under load the cost per event falls by itself, and no timer delays it.
 *  - A stream whose reader does not keep up is cut off when more than `maxBufferedBytes` wait for it. It loses nothing:
 *    it reconnects with its cursor and reads on from the log. Without the bound the process would run out of memory for it.
 */
import type { ServerResponse } from 'node:http';

export interface StreamsOptions {
  /** What may wait for one reader. 1 MiB: some thousand events, or about a minute of a busy ticker. */
  maxBufferedBytes: number;
  onCutOff: () => void;
}

/** The open streams of a server. */
export class Streams {
  readonly open = new Set<EventStream>();
  readonly #options: StreamsOptions;
  #waiting: EventStream[] = [];

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  add(response: ServerResponse): EventStream {
    const stream = new EventStream(response, this);
    this.open.add(stream);
    // The response's `close`, which also comes when the client has gone; the request's comes as soon as its body is read.
    response.once('close', () => this.open.delete(stream));
    return stream;
  }

  /** Sends the same text to every stream: a heartbeat. */
  sendAll(text: string): void {
    for (const stream of this.open) stream.send(text);
  }

  /** Bytes that wait for readers now. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const { response } of this.open) sum += response.writableLength;
    return sum;
  }

  // #region one-write
  schedule(stream: EventStream): void {
    if (this.#waiting.push(stream) === 1) setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    const streams = this.#waiting;
    this.#waiting = [];
    for (const stream of streams) {
      stream.flush();
      if (stream.response.writableLength <= this.#options.maxBufferedBytes) continue;
      this.#options.onCutOff();
      stream.response.destroy();
    }
  };
  // #endregion
}

/** One response, open until the client leaves or the server ends it. */
export class EventStream {
  readonly response: ServerResponse;
  readonly #streams: Streams;
  #pending = '';

  constructor(response: ServerResponse, streams: Streams) {
    this.response = response;
    this.#streams = streams;
  }

  send(text: string): void {
    if (this.#pending === '') this.#streams.schedule(this);
    this.#pending += text;
  }

  flush(): void {
    if (this.#pending === '' || this.response.writableEnded || this.response.destroyed) return;
    this.response.write(this.#pending);
    this.#pending = '';
  }

  end(text: string): void {
    this.send(text);
    this.flush();
    this.response.end();
  }
}
