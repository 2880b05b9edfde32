/**
 * What is said on an open connection, in both directions, and how it ends when one of them cannot go on.
 *
 * The two directions do not wait for each other: a client's own message comes back to it as an event like any other, before
 * its acknowledgement or after.
 */
import { isCursor } from '@patterns/feed/cursor';
import { type Feed, FeedError, OLDEST } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import type { Audience, Listener } from './audience.ts';
import type { Connection } from './connections.ts';
import { frameOf, textFrame } from './frames.ts';
import type { Metrics } from './metrics.ts';
import type { Outbox } from './outbox.ts';
import { type ChatData, CLOSE, type ClientMessage, decodeClientMessage, ProtocolError, ROOM } from './protocol.ts';

/** What all conversations of a server have in common. */
export interface Hall {
  feed: Feed<ChatData>;
  audience: Audience;
  metrics: Metrics;
  log: Log;
  /** Live events that may wait for a slow reader. */
  maxPending: number;
}

/** One of many, open for hours with nothing to do: so it is one object, and not a closure for each thing that it can do. */
export class Conversation implements Listener {
  readonly #connection: Connection;
  readonly #hall: Hall;
  #catchingUp: AbortController | undefined;

  constructor(connection: Connection, hall: Hall) {
    this.#connection = connection;
    this.#hall = hall;
  }

  get outbox(): Outbox {
    return this.#connection.outbox;
  }

  // #region tell
  /** Sends everything after the cursor, then what is new, until the connection is closed. */
  async begin(after: string | undefined): Promise<void> {
    const { feed, audience, metrics } = this.#hall;
    try {
      if (after !== undefined && !isCursor(after)) throw new ProtocolError(CLOSE.badCursor, 'after: malformed cursor');
      // Without a cursor it begins now; and it is told where that is, so that it can resume even if no event ever comes.
      const cursor = after ?? audience.head ?? (await feed.position());
      this.outbox.send(textFrame({ type: 'welcome', user: this.#connection.identity.user, cursor }));
      metrics.connects.inc({ kind: after ? 'resumed' : 'new' });
      this.tell(cursor);
    } catch (error) {
      this.#end(error);
    }
  }

  /** Everything after the cursor: alone until it has caught up, and from then on with all the others. */
  tell(cursor: string): void {
    const { feed, audience, maxPending } = this.#hall;
    if (!this.#connection.isOpen || audience.join(this, cursor)) return;
    const alone = new AbortController();
    this.#catchingUp = alone;
    feed
      .follow({ after: cursor, signal: alone.signal, maxPending }, (event) => {
        this.outbox.send(frameOf(event));
        if (audience.join(this, event.id)) alone.abort();
        return this.outbox.drained();
      })
      .catch((error) => this.#end(error));
  }
  // #endregion

  // #region hear
  /** Takes what the client says. A message is in the log before it is acknowledged; the same one again is added only once. */
  hear(data: Buffer, isBinary: boolean): void {
    if (!this.#connection.isOpen) return; // it goes on talking while it is being closed
    try {
      if (!this.#connection.messages.take()) throw new ProtocolError(CLOSE.policyViolation, 'too many messages');
      void this.#apply(decodeClientMessage(data, isBinary));
    } catch (error) {
      this.#end(error);
    }
  }

  async #apply({ id, text }: ClientMessage): Promise<void> {
    const { feed, log } = this.#hall;
    const { user } = this.#connection.identity;
    try {
      const event = await feed.append(ROOM, { type: 'said', from: user, id, text }, { once: `${user}:${id}` });
      this.outbox.send(textFrame({ type: 'ack', id, cursor: event.id }));
    } catch (error) {
      log.error('a message was not taken', { error });
      this.outbox.send(textFrame({ type: 'error', id, detail: 'not taken: send it again' }));
    }
  }
  // #endregion

  /** The connection is closed. */
  over(): void {
    this.#hall.audience.leave(this);
    this.#catchingUp?.abort();
  }

  // #region end
  #end(error: unknown): void {
    const { metrics, log } = this.#hall;
    const code = error instanceof FeedError ? error.code : undefined;
    if (error instanceof ProtocolError) this.#connection.close(error.code, error.message);
    else if (code === 'cursor-expired') {
      metrics.connects.inc({ kind: 'expired' });
      const detail = 'your cursor has expired: what came before the next event is lost';
      this.outbox.send(textFrame({ type: 'reset', detail }));
      this.tell(OLDEST);
    } else if (code === 'follower-too-slow') {
      this.#connection.cutOff('slow'); // it comes back with its cursor, and reads on from the log
    } else if (code === 'unavailable' || code === 'closed') {
      this.#connection.close(CLOSE.tryAgainLater, 'the room cannot be read just now');
    } else {
      log.error('a conversation failed', { error });
      this.#connection.close(CLOSE.internalError, '');
    }
  }
  // #endregion
}
