/**
 * What stands between the feed and a response that somebody reads slowly, or not at all.
 *
 * Frames that become pending for a stream in one pass of the event loop leave in one write. A write is a system call and
 * costs the same for one event as for twenty, so under load the cost per event falls by itself, and no timer delays it.
 *
 * When the socket is full, the listener answers the feed with a promise. The feed then holds the events back: a backlog is
 * read at the reader's own pace, and of the live events a bounded number waits, after which the feed gives the follower up.
 */
import type { ServerResponse } from 'node:http';

/** The open streams of a server. */
export class Streams {
  readonly open = new Set<EventStream>();
  #pending: EventStream[] = [];
  #restUntil = 0;
  #joined = { pending: '', text: '', both: '' };

  add(response: ServerResponse): EventStream {
    const stream = new EventStream(response, this);
    this.open.add(stream);
    // The response's `close`, which also comes when the client has gone; the request's comes as soon as its body is read.
    response.on('close', () => {
      this.open.delete(stream);
      stream.closed.abort();
    });
    return stream;
  }

  /** Bytes that wait for readers now. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const { response } of this.open) sum += response.writableLength;
    return sum;
  }

  // #region one-write
  schedule(stream: EventStream): void {
    if (this.#pending.push(stream) > 1) return;
    const restMs = this.#restUntil - performance.now();
    if (restMs > 0) setTimeout(this.#flush, restMs);
    else setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    const startedAt = performance.now();
    const streams = this.#pending;
    this.#pending = [];
    for (const stream of streams) stream.flush();
    // A thousand writes take 15 ms. If the next thousand always followed at once, the process would do nothing else under load:
    // so it rests for a quarter as long, in which others have their turn and more events come together. Counted from the next
    // tick, in which Node hands to the kernel what was written in this one.
    process.nextTick(() => {
      const endedAt = performance.now();
      this.#restUntil = endedAt + (endedAt - startedAt) / 4;
    });
  };
  // #endregion

  /** Streams that wait for the same events share one text: it is joined, and laid out in memory, once and not once for each. */
  join(pending: string, text: string): string {
    if (this.#joined.pending !== pending || this.#joined.text !== text) {
      this.#joined = { pending, text, both: pending + text };
    }
    return this.#joined.both;
  }
}

/** One response, open until the client leaves or the server ends it. */
export class EventStream {
  readonly response: ServerResponse;
  /** Aborts when the stream is over, whoever ended it. */
  readonly closed = new AbortController();
  readonly #streams: Streams;
  #text = '';

  constructor(response: ServerResponse, streams: Streams) {
    this.response = response;
    this.#streams = streams;
  }

  // #region send
  /** Sends text together with whatever else comes up in this pass of the event loop. */
  send(text: string): void {
    if (this.#text === '') this.#streams.schedule(this);
    this.#text = this.#streams.join(this.#text, text);
  }

  /** A promise when the reader is behind: send no more until it resolves. */
  drained(): Promise<void> | undefined {
    const { response } = this;
    if (!response.writableNeedDrain) return undefined;
    return new Promise((resolve) => {
      const goOn = () => {
        response.off('drain', goOn).off('close', goOn); // both: a slow reader waits often, and each time would leave one behind
        resolve();
      };
      response.on('drain', goOn).on('close', goOn);
    });
  }
  // #endregion

  flush(): void {
    if (this.response.writableEnded || this.response.destroyed) return;
    this.response.write(this.#text);
    this.#text = '';
  }

  end(text = ''): void {
    this.#text += text;
    this.flush();
    this.response.end();
  }
}
