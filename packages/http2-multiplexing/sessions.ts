/**
 * The sessions of a server: counted, kept alive, and ended when they are idle, dead, old, or told to go.
 *
 * One timer for all of them: what is needed a hundred times a second is no place for a timer each.
 */
import { constants, type Http2SecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Log } from '@patterns/kit/log';
import type { Limits } from './limits.ts';
import { codeName, type Metrics } from './metrics.ts';

/** Follows every session and stream of `server` until the server closes. */
export function watchSessions(
  server: Http2SecureServer,
  { sessions, limits, metrics, log }: { sessions: Set<ServerHttp2Session>; limits: Limits; metrics: Metrics; log: Log },
): void {
  const ages = new Map<ServerHttp2Session, number>();
  const silent = new Set<ServerHttp2Session>();

  server.on('session', (session) => {
    sessions.add(session);
    ages.set(session, performance.now() + limits.maxAgeMs * (1 + Math.random() / 10));
    // Its first words are its settings [RFC 9113 §3.4].
    session.setTimeout(limits.prefaceMs, () => session.destroy());
    session.once('remoteSettings', () => session.setTimeout(limits.sessionIdleMs));
    session.on('stream', watchStream);
    session.on('goaway', (code) => metrics.goaways.inc({ reason: `received ${codeName(code)}` }));
    session.on('close', () => {
      sessions.delete(session);
      ages.delete(session);
      silent.delete(session);
    });
  });

  function watchStream(stream: ServerHttp2Stream): void {
    metrics.streams.inc();
    metrics.openStreams.inc();
    stream.setTimeout(limits.streamIdleMs, () => stream.close(constants.NGHTTP2_CANCEL));
    // Also slow bodies have to end: a byte a second keeps a stream from being idle.
    const late = stream.endAfterHeaders
      ? undefined
      : setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), limits.requestMs);
    if (late) stream.once('end', () => clearTimeout(late));
    stream.once('close', () => {
      clearTimeout(late);
      metrics.openStreams.dec();
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) metrics.resets.inc({ code: codeName(stream.rstCode) });
    });
  }

  const round = setInterval(() => {
    for (const session of sessions) {
      if (session.closed) continue;
      if (silent.has(session)) {
        metrics.goaways.inc({ reason: 'dead' });
        session.destroy();
      } else if (performance.now() > ages.get(session)!) {
        metrics.goaways.inc({ reason: 'age' });
        session.close();
      } else {
        silent.add(session);
        session.ping(() => silent.delete(session));
      }
    }
  }, limits.pingMs);
  server.once('close', () => clearInterval(round));

  // What goes wrong on one connection is that connection's own: it ends, and the others go on.
  server.on('sessionError', (error) => log.debug('session failed', { error }));
  server.on('tlsClientError', (error) => log.debug('no TLS', { error }));
  server.on('unknownProtocol', (socket) => socket.destroy());
}
