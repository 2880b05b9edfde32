/**
 * Why there is no answer, and whether it may be asked for again: the question on which every retry hangs. The server gives two
 * promises that it did nothing with a request: REFUSED_STREAM, and a number above the last stream of GOAWAY [RFC 9113 §8.7].
 */
import { type ClientHttp2Stream, constants } from 'node:http2';

type Code =
  | 'connect-failed'
  | 'connection-lost'
  | 'refused'
  | 'reset'
  | 'timeout'
  | 'aborted'
  | 'queue-full'
  | 'queue-late'
  | 'closed';

/** `safe`: the server did nothing with it, whatever the method. `if-idempotent`: nobody knows whether it did. */
export type Retry = 'safe' | 'if-idempotent' | 'never';

export class Http2Error extends Error {
  override readonly name = 'Http2Error';
  readonly code: Code;
  readonly retry: Retry;

  constructor(code: Code, message: string, { retry = 'never', cause }: { retry?: Retry; cause?: unknown } = {}) {
    super(message, { cause });
    this.code = code;
    this.retry = retry;
  }
}

export interface Ending {
  readonly stream: ClientHttp2Stream;
  /** What Node reported, if anything. */
  readonly cause: unknown;
  /** Whether the session was ever connected, and whether it is gone. */
  readonly isConnected: boolean;
  readonly isGone: boolean;
  /** The last stream that the server looked at, by its GOAWAY. */
  readonly lastId: number | undefined;
}

// #region explain
/** What became of a request whose stream has closed without an answer. */
export function explain({ stream: { id, rstCode }, cause, isConnected, isGone, lastId }: Ending): Http2Error {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  if (!isConnected) return new Http2Error('connect-failed', `no connection${why}`, { retry: 'safe', cause });
  // Without a number it never left.
  if (id === undefined || (lastId !== undefined && id > lastId))
    return new Http2Error('refused', 'the server goes, and did not look at it', { retry: 'safe', cause });
  if (rstCode === constants.NGHTTP2_REFUSED_STREAM)
    return new Http2Error('refused', 'the server refused the stream', { retry: 'safe', cause });
  if (isGone)
    return new Http2Error('connection-lost', `the connection was lost${why}`, { retry: 'if-idempotent', cause });
  return new Http2Error('reset', `the stream was reset with code ${rstCode}`, { retry: 'if-idempotent', cause });
}
// #endregion
