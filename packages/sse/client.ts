/**
 * Follows the ticker from a program: what EventSource does in a browser, over fetch, as an async iterable.
 *
 * It reconnects by itself and resumes with the id of the last event it saw, so the caller sees one unbroken sequence. It ends
 * when the server says so (204), when `signal` aborts, and with an error when asking again cannot help (a 4xx).
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FeedEvent } from '@patterns/feed/feed';
import { main } from '@patterns/kit/main';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { decodeQuote, PATH, type Quote } from './protocol.ts';

export class SseError extends Error {
  override readonly name = 'SseError';
  readonly code: 'refused' | 'not-a-stream' | 'malformed-event';

  constructor(code: SseError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface SubscribeOptions {
  /** The id of the last event already seen. Without it: what comes from now on. */
  after?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Told when the cursor had expired: some events are lost for good. */
  onReset?: (detail: string) => void;
  /** Silence after which the line counts as dead: three of the server's heartbeats. */
  silenceMs?: number;
  /** The longest wait between two attempts: 30 s, so that whoever looks again does not find it asleep. */
  maxDelayMs?: number;
}

// #region subscribe
/**
 * Yields every event after the cursor, in order, each once.
 * @throws {SseError} when the server refuses for good, or does not talk this protocol.
 */
export async function* subscribe(
  url: string,
  { after, signal, onReset, silenceMs = 45_000, maxDelayMs = 30_000 }: SubscribeOptions = {},
): AsyncGenerator<FeedEvent<Quote>> {
  let cursor = after;
  let retryMs = 1_000;
  let ended = false;
  const onRetry = (milliseconds: number) => (retryMs = milliseconds);
  const onEnd = () => (ended = true);

  for (let attempt = 0; !ended && !signal?.aborted; attempt++) {
    try {
      for await (const message of connect(url, { cursor, signal, silenceMs, onRetry, onEnd })) {
        attempt = 0;
        if (message.event === 'reset') {
          cursor = undefined;
          onReset?.(message.data);
        } else if (message.event === 'price' || message.event === 'closed') {
          const event = decode(message);
          cursor = event.id;
          yield event;
        }
      }
    } catch (error) {
      if (error instanceof SseError) throw error;
      // Anything else is the line: it was cut, refused, or silent for too long.
    }
    // Never sooner than the server asked, and a random time more that grows with each failure: clients that lost the same
    // server must not all come back in the same instant, again and again.
    const most = Math.max(retryMs, Math.min(maxDelayMs, retryMs * 2 ** attempt));
    if (!ended) await delay(retryMs + Math.random() * (most - retryMs), undefined, { signal }).catch(() => {});
  }
}
// #endregion

export interface Connection {
  /** Of the stream; by default, the ticker's. */
  path?: string;
  cursor: string | undefined;
  signal: AbortSignal | undefined;
  silenceMs: number;
  onRetry: (milliseconds: number) => void;
  onEnd: () => void;
}

/** The messages of one response, until it ends or breaks. @throws {SseError} when asking again cannot help. */
export async function* connect(
  url: string,
  { path = PATH, cursor, signal, silenceMs, onRetry, onEnd }: Connection,
): AsyncGenerator<EventSourceMessage> {
  const line = new AbortController();
  /** Waits for the line, but not for ever: a peer that vanished without a word is never reported by TCP to a reader. */
  const hear = async <T>(sound: Promise<T>): Promise<T> => {
    const timer = setTimeout(() => line.abort(new Error(`nothing heard for ${silenceMs} ms`)), silenceMs);
    return sound.finally(() => clearTimeout(timer));
  };
  try {
    const response = await hear(
      fetch(new URL(path, url), {
        headers: { Accept: 'text/event-stream', ...(cursor ? { 'Last-Event-ID': cursor } : {}) },
        signal: signal ? AbortSignal.any([signal, line.signal]) : line.signal,
      }),
    );
    if (response.status === 204) return onEnd();
    if (response.status !== 200) return await explainRefusal(response, onRetry);
    if (!response.headers.get('Content-Type')?.startsWith('text/event-stream') || !response.body) {
      throw new SseError('not-a-stream', `${url} does not answer with text/event-stream`);
    }
    const messages: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (message) => messages.push(message), onRetry });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let read = await hear(reader.read()); !read.done; read = await hear(reader.read())) {
      parser.feed(read.value);
      yield* messages.splice(0);
    }
  } finally {
    line.abort(); // whoever stops reading hangs up as well
  }
}

/** Throws when it is final. 429 and 5xx are not: they pass, and may say when to ask again. */
async function explainRefusal(response: Response, onRetry: (milliseconds: number) => void): Promise<void> {
  if (response.status < 500 && response.status !== 429) {
    throw new SseError('refused', `${response.status} from ${response.url}: ${await response.text()}`);
  }
  await response.body?.cancel();
  const seconds = Number(response.headers.get('Retry-After') ?? Number.NaN);
  if (Number.isFinite(seconds)) onRetry(seconds * 1_000);
}

function decode(message: EventSourceMessage): FeedEvent<Quote> {
  try {
    return decodeQuote(message);
  } catch (error) {
    throw new SseError('malformed-event', `not understood: ${message.data.slice(0, 80)}`, { cause: error });
  }
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const url = process.argv[2];
    if (!url) return console.log('usage: node client.ts <url of a server>   (start one with: node server.ts)');
    const onReset = (detail: string) => console.log(`reset: ${detail}`);
    for await (const { id, topic, at, data } of subscribe(url, { after: process.argv[3], signal, onReset })) {
      if (data.type === 'price')
        console.log(`#${data.n} ${topic} ${data.price.toFixed(2)}  ${Date.now() - at} ms  id ${id}`);
      else console.log('the market is closed');
    }
  });
}
