/**
 * Ends a session whose server is not there: one that does not connect in time, or answers no PING [RFC 9113 §6.7]. TCP does not
 * tell whoever only reads that the other side has vanished.
 */
import { type ClientHttp2Session, constants } from 'node:http2';

export interface LivenessOptions {
  /** For TCP, TLS and ALPN together. */
  connectMs: number;
  /** How often the server is asked; it has as long to answer. */
  pingMs: number;
}

/** Watches until the session is closed. While it only finishes what is open, after GOAWAY, Node sends no more PINGs. */
export function watchLiveness(session: ClientHttp2Session, { connectMs, pingMs }: LivenessOptions): void {
  const fail = (message: string) => session.destroy(new Error(message), constants.NGHTTP2_CANCEL);
  const connecting = setTimeout(() => fail(`not connected within ${connectMs} ms`), connectMs);
  let asking: NodeJS.Timeout | undefined;
  let isAsked = false;
  session.once('connect', () => {
    clearTimeout(connecting);
    asking = setInterval(() => {
      if (session.closed) return;
      if (isAsked) return fail(`no answer to a PING within ${pingMs} ms`);
      isAsked = true;
      session.ping(() => {
        isAsked = false;
      });
    }, pingMs);
  });
  session.once('close', () => {
    clearTimeout(connecting);
    clearInterval(asking);
  });
}
