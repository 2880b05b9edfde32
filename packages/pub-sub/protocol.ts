/**
 * What crosses the wire: an envelope around the data, as JSON, on every broker and in every log.
 *
 *     {"seq":7,"v":1,"id":"6f1c…","channel":"news-updates","at":1795212000000,"data":{…},"traceparent":"00-…"}
 *
 * A channel has no schema and anybody may publish to it: whoever receives a message validates it before using it. `v` is there so
 * that a receiver can refuse what it does not understand; fields that it does not know are no error: a publisher may learn.
 */
import { randomUUID } from 'node:crypto';

/** The newsroom's channel. */
export const CHANNEL = 'news-updates';

/** Before every channel and key of ours, on a Redis that others use too, unless REDIS_PREFIX says otherwise. */
export const DEFAULT_PREFIX = 'patterns:pub-sub:';

export const VERSION = 1;

export interface Envelope<T = unknown> {
  readonly v: typeof VERSION;
  /** Names the message, so that a receiver can tell a repetition from a second message with the same text. */
  readonly id: string;
  readonly channel: string;
  /** Milliseconds since the epoch, by the publisher's clock. */
  readonly at: number;
  readonly data: T;
  /** Counts the channel's messages from 1 without a hole; only a publisher that can promise that sets it (newsroom.ts). */
  readonly seq?: number;
  /** The trace that this message belongs to [W3C Trace Context]. */
  readonly traceparent?: string;
}

/** - `malformed-message`: not an envelope; skipped
 *  - `unknown-version`: an envelope of a version that this program does not know; skipped
 *  - `handler-failed`: the handler threw; `cause` is what it threw. A handler that cannot read the data throws a
 *    `malformed-message` of its own: in a group it is not tried again, but set aside
 *  - `queue-full`: the handler does not keep up, and the broker cannot wait: a message was dropped
 *  - `set-aside`: delivered too often without success; moved away with its reason
 *  - `cursor-malformed`: not a cursor
 *  - `cursor-expired`: some messages after it are no longer kept
 *  - `unsupported`: asked for something that this broker does not have
 *  - `unavailable`: the broker did not answer; what was published may have arrived or not */
export type PubSubErrorCode =
  | 'malformed-message'
  | 'unknown-version'
  | 'handler-failed'
  | 'queue-full'
  | 'set-aside'
  | 'cursor-malformed'
  | 'cursor-expired'
  | 'unsupported'
  | 'unavailable';

export class PubSubError extends Error {
  override readonly name = 'PubSubError';
  readonly code: PubSubErrorCode;

  constructor(code: PubSubErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A new message for `channel`. `data` must have a JSON form. */
export function envelope<T>(channel: string, data: T, traceparent?: string): Envelope<T> {
  return { v: VERSION, id: randomUUID(), channel, at: Date.now(), data, ...(traceparent ? { traceparent } : {}) };
}

export function encode(message: Envelope): string {
  return JSON.stringify(message);
}

// #region decode
/**
 * Reads an envelope, and lets nothing else pass. `seq` is given where a log knows it better than the text.
 * @throws {PubSubError} `malformed-message`, `unknown-version`.
 */
export function decode(text: string, seq?: number): Envelope {
  let message: Partial<Envelope> | null;
  try {
    message = JSON.parse(text);
  } catch (cause) {
    throw malformed(text, cause);
  }
  if (typeof message !== 'object' || message === null || typeof message.v !== 'number') throw malformed(text);
  if (message.v !== VERSION) throw new PubSubError('unknown-version', `unknown version ${String(message.v)}`);
  if (seq !== undefined) message = { ...message, seq };
  return isEnvelope(message) ? message : reject(text);
}
// #endregion

function isEnvelope(message: Partial<Envelope>): message is Envelope {
  return (
    typeof message.id === 'string' &&
    typeof message.channel === 'string' &&
    Number.isFinite(message.at) &&
    message.data !== undefined &&
    (message.seq === undefined || (Number.isSafeInteger(message.seq) && message.seq > 0)) &&
    (message.traceparent === undefined || typeof message.traceparent === 'string')
  );
}

function reject(text: string): never {
  throw malformed(text);
}

function malformed(text: string, cause?: unknown): PubSubError {
  return new PubSubError('malformed-message', `not an envelope: ${text.slice(0, 80)}`, { cause });
}
