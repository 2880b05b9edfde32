/**
 * How much one connection may ask of the server. HTTP/2 lets a peer open a stream, reset it, send a setting or a ping with a
 * dozen bytes each, so what costs us more than that has a bound here; Node and nghttp2 enforce most of them by themselves.
 */
import type { SecureServerOptions } from 'node:http2';

export interface Limits {
  /** Streams open at once on a session; what is more is refused [RFC 9113 §5.1.2]. 100: the page needs no more at once. */
  maxConcurrentStreams: number;
  /** Resets by the peer that are forgiven at once (CVE-2023-44487, Rapid Reset). Three pages left in a hurry. */
  streamResetBurst: number;
  /** Resets by the peer that are forgiven a second after that. */
  streamResetRate: number;
  /** Bytes of a request's header fields, counted as HPACK does [RFC 9113 §10.5.1]: as much as Node allows over HTTP/1.1. */
  maxHeaderListBytes: number;
  /** Fields of a request. Node counts pseudo-header fields, too. */
  maxHeaderFields: number;
  /** What may be on its way to us on a connection, all its uploads together. A single one gets 64 KiB, HTTP/2's default. */
  connectionWindowBytes: number;
  /** MB of one session that wait: for the peer to read, or as headers. Above it, Node answers ENHANCE_YOUR_CALM. */
  maxSessionMegabytes: number;
  /** A connection says hello within this time, or was none. As long as TLS may take. */
  prefaceMs: number;
  /** A request, body included, has arrived within this time, in both versions. 30 s: 8 MB at 2 Mbit/s. */
  requestMs: number;
  /** A stream on which nothing moves, in either direction, is reset. Longer than the silence between two events. */
  streamIdleMs: number;
  /** A session on which nothing is asked and nothing is answered is closed. */
  sessionIdleMs: number;
  /** How often a session is asked whether it is there. Middleboxes forget silent connections after a minute or more. */
  pingMs: number;
  /**
   * Age at which a session is told to go (GOAWAY), so that its client opens another, and balancers that share out connections can
   * even out what clients would otherwise pin to one server for days. Up to a tenth more, so that not all go at once.
   */
  maxAgeMs: number;
}

export const LIMITS: Limits = {
  maxConcurrentStreams: 100,
  streamResetBurst: 300,
  streamResetRate: 30,
  maxHeaderListBytes: 16_384,
  maxHeaderFields: 100,
  connectionWindowBytes: 1024 * 1024,
  maxSessionMegabytes: 10,
  prefaceMs: 10_000,
  requestMs: 30_000,
  streamIdleMs: 60_000,
  sessionIdleMs: 120_000,
  pingMs: 20_000,
  maxAgeMs: 3_600_000,
};

/** The limits as Node's options, for both versions. */
export function toServerOptions(limits: Limits): SecureServerOptions {
  const http1Options = {
    keepAliveTimeout: 5_000,
    headersTimeout: Math.min(limits.prefaceMs, limits.requestMs),
    requestTimeout: limits.requestMs,
    // Node looks for who is late this often, by default each 30 s.
    connectionsCheckingInterval: Math.min(1_000, limits.prefaceMs),
  };
  return {
    http1Options,
    settings: {
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: limits.maxHeaderListBytes,
      enablePush: false,
    },
    maxHeaderListPairs: limits.maxHeaderFields,
    maxSessionMemory: limits.maxSessionMegabytes,
    // One without the other has no effect.
    streamResetBurst: limits.streamResetBurst,
    streamResetRate: limits.streamResetRate,
    // Frames that a peer may not send, such as streams above the limit: enough for a race, too few for a flood.
    maxSessionInvalidFrames: 100,
    // Settings in one frame; there are six.
    maxSettings: 32,
    handshakeTimeout: limits.prefaceMs,
  };
}
