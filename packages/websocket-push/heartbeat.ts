/**
 * Finds peers that have gone without a word. TCP does not tell: a server that only waits for such a peer holds its socket for
 * ever, and one that sends, for a quarter of an hour. So each peer is pinged, and answers by itself [RFC 6455 §5.5.3].
 *
 * A peer from which nothing came between two beats is cut off: found at the latest two beats after it has gone.
 */
import type { Connections } from './connections.ts';
import { pingFrame, textFrame } from './frames.ts';
import { CLOSE } from './protocol.ts';

export interface HeartbeatOptions {
  everyMs: number;
  onRoundTrip: (seconds: number) => void;
}

const TICK = textFrame({ type: 'tick' });

/** One timer for all connections; it runs until `stop`. */
export function startHeartbeat(connections: Connections, { everyMs, onRoundTrip }: HeartbeatOptions) {
  let sent = '';

  // #region beat
  function beat(): void {
    sent = String(performance.now());
    const ping = pingFrame(sent);
    for (const connection of connections.open) {
      const { socket, outbox, identity } = connection;
      if (socket.bytesRead === connection.bytesHeard) {
        connection.cutOff('silent');
      } else if (identity.expiresAt <= Date.now()) {
        connection.close(CLOSE.policyViolation, 'the session has ended');
      } else {
        connection.bytesHeard = socket.bytesRead; // whatever it was: a pong, a message, a part of one
        outbox.send(ping);
        outbox.send(TICK); // for programs that see no pings; in the same write
      }
    }
  }
  // Not in the timer itself: after a long pause of this process its timers run before its sockets are read, and every pong
  // would be found missing. The immediate comes after the sockets.
  const timer = setInterval(() => setImmediate(beat), everyMs);
  // #endregion

  return {
    stop: () => clearInterval(timer),
    /** A pong came. One that answers an older ping, or none, says nothing. */
    pong: (payload: Buffer): void => {
      if (payload.toString() === sent) onRoundTrip((performance.now() - Number(sent)) / 1_000);
    },
  };
}
