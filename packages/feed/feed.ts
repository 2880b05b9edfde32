/**
 * The contract of the feed: an append-only log of events that any number of clients read from a place of their own.
 *
 * A client's place is a cursor: the id of the last event it has seen. The feed keeps no list of its readers, so a client may
 * resume at any server process. What surprises: a cursor is refused ('cursor-expired') as soon as nobody can prove that
 * nothing after it was missed, even if perhaps nothing was. A feed ends with its disposal; its events, by retention.
 */

export interface FeedEvent<T = unknown> {
  /** The cursor that names this event: opaque to clients, ordered by `compareIds`. */
  readonly id: string;
  readonly topic: string;
  /** Milliseconds since the epoch, by the clock of the feed, not of the process that appended. */
  readonly at: number;
  readonly data: T;
}

/** Read from the oldest event retained, whatever was trimmed before it. Redis's own notation [XRANGE]. */
export const OLDEST = '-';
/** Read only what is appended from now on. Redis's own notation [XREAD]. */
export const NOW = '$';
/** The cursor of a reader that has seen nothing, of a feed that has lost nothing. */
export const NOTHING_SEEN = '0-0';

export interface ReadOptions {
  /** A cursor, OLDEST (the default) or NOW. */
  after?: string | undefined;
  /** At most so many events. Default: 1,000. */
  limit?: number | undefined;
  /** Only events of this topic. Default: all. */
  topic?: string | undefined;
}

export interface FollowOptions {
  /** A cursor, OLDEST or NOW (the default). */
  after?: string | undefined;
  topic?: string | undefined;
  /** Ends the following. */
  signal: AbortSignal;
  /** How many live events may wait for a listener that returned a promise. Default: 1,000. */
  maxPending?: number | undefined;
}

export interface AppendOptions {
  /**
   * A name for this one event. An append under a name that is remembered adds nothing, at whatever process: it resolves with the
   * id of the first. So whoever got no answer can ask again. The same name must stand for the same event.
   */
  once?: string | undefined;
}

/** How long the name of an event is remembered, unless a feed is told otherwise: longer than anybody tries again. */
export const REMEMBER_MS = 60 * 60 * 1_000;

/** A listener that returns a promise gets the next event when it has settled; one that returns nothing gets it at once. */
export type Listener<T> = (event: FeedEvent<T>) => void | Promise<void>;

export interface Feed<T = unknown> extends AsyncDisposable {
  /**
   * Adds an event; resolves when the feed has it. `data` is stored as JSON. Rejects with TypeError when `data` has no JSON
   * form, and with FeedError 'unavailable' when no answer came: the event may then be in the feed or not, and it is not
   * sent again, because that could append it twice. With `once` the caller may send it again.
   */
  append(topic: string, data: T, options?: AppendOptions): Promise<FeedEvent<T>>;
  /** The events after a cursor, oldest first. Rejects with FeedError. */
  read(options?: ReadOptions): Promise<FeedEvent<T>[]>;
  /**
   * Calls the listener with the backlog after the cursor, then with live events: no gap and no duplicate between the two.
   * All followers of a process get the same event object for a live event, so that it can be encoded once.
   * Resolves when the signal aborts. Rejects with FeedError, or with what the listener threw.
   */
  follow(options: FollowOptions, listener: Listener<T>): Promise<void>;
  /** A cursor for "everything so far has been seen". */
  position(): Promise<string>;
  /** Followers that have not ended: a gauge. */
  readonly followers: number;
}

export type FeedErrorCode =
  | 'cursor-malformed' // not a cursor of any feed
  | 'cursor-expired' // events after it may be gone: trimmed, or lost with a feed that was replaced
  | 'follower-too-slow' // more than maxPending live events were waiting for the listener
  | 'entry-corrupt' // an entry that this program did not write; skipped, and reported
  | 'unavailable' // the feed's server did not answer, or answered with an error
  | 'closed'; // the feed was disposed

/** `oldest` comes with 'cursor-expired': the id of the oldest event retained. To go on from there, read after OLDEST. */
export class FeedError extends Error {
  readonly code: FeedErrorCode;
  readonly oldest: string | undefined;

  constructor(code: FeedErrorCode, message: string, options: { cause?: unknown; oldest?: string } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.name = 'FeedError';
    this.code = code;
    this.oldest = options.oldest;
  }
}
