/**
 * What is said on an open connection, in both directions, and how it ends when one of them cannot go on.
 *
 * The two directions do not wait for each other: a client's own message comes back to it as an event like any other, before
 * its acknowledgement or after.
 */
import { isCursor } from '@patterns/feed/cursor';
import { type Feed, FeedError, OLDEST } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import type { Audience } from './audience.ts';
import type { Connection } from './connections.ts';
import { frameOf, textFrame } from './frames.ts';
import type { Metrics } from './metrics.ts';
import { type ChatData, CLOSE, decodeClientMessage, ProtocolError, ROOM } from './protocol.ts';

export interface Conversation {
  feed: Feed<ChatData>;
  audience: Audience;
  metrics: Metrics;
  log: Log;
  /** Live events that may wait for a slow reader. */
  maxPending: number;
}

/** Sends everything after the cursor, then what is new, and takes what the client says, until the connection is closed. */
export function converse(
  connection: Connection,
  after: string | undefined,
  { feed, audience, metrics, log, maxPending }: Conversation,
): void {
  const { ws, outbox, identity } = connection;
  let catchingUp: AbortController | undefined;

  // #region tell
  async function begin(): Promise<void> {
    if (after !== undefined && !isCursor(after)) throw new ProtocolError(CLOSE.badCursor, 'after: malformed cursor');
    // Without a cursor it begins now; and it is told where that is, so that it can resume even if no event ever comes.
    const cursor = after ?? audience.head ?? (await feed.position());
    outbox.send(textFrame({ type: 'welcome', user: identity.user, cursor }));
    metrics.connects.inc({ kind: after ? 'resumed' : 'new' });
    tell(cursor);
  }

  /** Everything after the cursor: alone until it has caught up, and from then on with all the others. */
  function tell(cursor: string): void {
    if (!connection.isOpen || audience.join(outbox, cursor, tell)) return;
    const alone = new AbortController();
    catchingUp = alone;
    feed
      .follow({ after: cursor, signal: alone.signal, maxPending }, (event) => {
        outbox.send(frameOf(event));
        if (audience.join(outbox, event.id, tell)) alone.abort();
        return outbox.drained();
      })
      .catch(end);
  }
  // #endregion

  // #region hear
  /** A message is in the log before it is acknowledged. The same message again is acknowledged again, and not added again. */
  function hear(data: Buffer, isBinary: boolean): void {
    if (!connection.messages.take()) throw new ProtocolError(CLOSE.policyViolation, 'too many messages');
    const { id, text } = decodeClientMessage(data, isBinary);
    feed.append(ROOM, { type: 'said', from: identity.user, id, text }, { once: `${identity.user}:${id}` }).then(
      (event) => outbox.send(textFrame({ type: 'ack', id, cursor: event.id })),
      (error) => {
        log.error('a message was not taken', { error });
        outbox.send(textFrame({ type: 'error', id, detail: 'not taken: send it again' }));
      },
    );
  }
  // #endregion

  // #region end
  function end(error: unknown): void {
    const code = error instanceof FeedError ? error.code : undefined;
    if (error instanceof ProtocolError) connection.close(error.code, error.message);
    else if (code === 'cursor-expired') {
      metrics.connects.inc({ kind: 'expired' });
      outbox.send(
        textFrame({ type: 'reset', detail: 'your cursor has expired: what came before the next event is lost' }),
      );
      tell(OLDEST);
    } else if (code === 'follower-too-slow') {
      connection.cutOff('slow'); // it comes back with its cursor, and reads on from the log
    } else if (code === 'unavailable' || code === 'closed') {
      connection.close(CLOSE.tryAgainLater, 'the room cannot be read just now');
    } else {
      log.error('a conversation failed', { error });
      connection.close(CLOSE.internalError, '');
    }
  }
  // #endregion

  ws.on('message', (data, isBinary) => {
    if (!connection.isOpen) return; // it goes on talking while it is being closed
    try {
      hear(data as Buffer, isBinary);
    } catch (error) {
      end(error);
    }
  });
  ws.on('close', () => {
    audience.leave(outbox);
    catchingUp?.abort();
  });
  begin().catch(end);
}
