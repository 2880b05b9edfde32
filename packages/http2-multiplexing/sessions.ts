/**
 * The sessions of a server: counted, kept alive, and ended when they are idle, dead, old, or told to go.
 *
 * A session that only got old keeps the streams that it has. All of them share one timer.
 */
import { constants, type Http2SecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Log } from '@patterns/kit/log';
import type { Limits } from './limits.ts';
import { codeName, type Metrics } from './metrics.ts';

interface Watch {
  /** Kept up to date: the sessions open now. */
  sessions: Set<ServerHttp2Session>;
  limits: Limits;
  metrics: Metrics;
  log: Log;
}

/** Follows every session and stream of `server` until the server closes. */
export function watchSessions(server: Http2SecureServer, { sessions, limits, metrics, log }: Watch): void {
  const oldAt = new WeakMap<ServerHttp2Session, number>();
  const asked = new WeakSet<ServerHttp2Session>();

  server.on('session', (session) => {
    sessions.add(session);
    session.setLocalWindowSize(limits.connectionWindowBytes);
    session.once('close', () => sessions.delete(session));
    // A tenth more or less, so that those who came together do not go together.
    oldAt.set(session, performance.now() + limits.maxAgeMs * (0.9 + Math.random() / 5));
    session.setTimeout(limits.prefaceMs, () => {
      metrics.goaways.inc({ reason: 'idle' });
      session.destroy();
    });
    // A client's first frame [RFC 9113 §3.4].
    session.once('remoteSettings', () => session.setTimeout(limits.sessionIdleMs));
    session.on('stream', (stream) => watchStream(stream, limits, metrics));
    session.on('goaway', (code) => metrics.goaways.inc({ reason: `received ${codeName(code)}` }));
  });

  // #region round
  const round = setInterval(() => {
    for (const session of sessions) {
      if (session.closed || session.destroyed) continue;
      if (asked.has(session)) {
        // No answer since the last round: TCP tells nobody that a peer has vanished.
        metrics.goaways.inc({ reason: 'vanished' });
        session.destroy();
      } else if (performance.now() > oldAt.get(session)!) {
        metrics.goaways.inc({ reason: 'age' });
        session.close(); // open streams finish, new ones come on another connection
      } else {
        asked.add(session);
        session.ping(() => asked.delete(session));
      }
    }
  }, limits.pingMs);
  server.once('close', () => clearInterval(round));
  // #endregion

  // What goes wrong on a connection ends that connection: the server and the others go on. HTTP/1.1's `clientError` has no
  // listener, since Node then answers by itself, with 400, 408 or 431.
  server.on('sessionError', (error) => {
    metrics.goaways.inc({ reason: 'error' });
    log.debug('session ended', { error });
  });
  server.on('tlsClientError', (error) => log.debug('no session', { error }));
  server.on('unknownProtocol', (socket) => socket.destroy());
}

function watchStream(stream: ServerHttp2Stream, { streamIdleMs, requestMs }: Limits, metrics: Metrics): void {
  metrics.streams.inc();
  metrics.openStreams.inc();
  const cancel = () => stream.close(constants.NGHTTP2_CANCEL);
  stream.setTimeout(streamIdleMs, cancel);
  // A byte a second is not idle, but late: only requests with a body need a timer for that.
  const late = stream.endAfterHeaders ? undefined : setTimeout(cancel, requestMs);
  if (late) stream.once('end', () => clearTimeout(late));
  stream.once('close', () => {
    clearTimeout(late);
    metrics.openStreams.dec();
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) metrics.resets.inc({ code: codeName(stream.rstCode) });
  });
}
