/**
 * One road, many lanes: an HTTP/2 server over TLS, on whose connections many requests are under way at once.
 *
 * Client and server agree on the version while they shake hands (ALPN): `h2`, or HTTP/1.1 for whoever speaks no other
 * [RFC 7301]. A request is a stream: a numbered lane with its own end, its own window, its own error. What happens to one
 * stream is no matter for the others, but they share one connection: its limits (limits.ts), its life and its end (sessions.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type ServerHttp2Session } from 'node:http2';
import { type Certificate, makeCertificate, publishCertificate } from '@patterns/kit/certificate';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { LIMITS, type Limits, toServerOptions } from './limits.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createRoutes } from './routes.ts';
import { watchSessions } from './sessions.ts';

export interface ServerOptions {
  port?: number;
  certificate: Certificate;
  /** How long an item takes to make. */
  delayMs?: number;
  log?: Log;
  graceMs?: number;
  limits?: Partial<Limits>;
}

export interface Http2Listening extends Listening {
  /** HTTP/2 sessions open now. */
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  readonly metrics: Metrics;
}

/** Starts the server. It speaks HTTP/2 and HTTP/1.1 on the same port. */
export async function startServer({
  port,
  certificate,
  delayMs = 0,
  log = createLog('http2-multiplexing'),
  graceMs,
  limits: changed,
}: ServerOptions): Promise<Http2Listening> {
  const limits = { ...LIMITS, ...changed };
  const sessions = new Set<ServerHttp2Session>();
  const metrics = createMetrics({ sessions });
  const closing = new AbortController();
  const answer = createRoutes({ delayMs, metrics, log, closing: closing.signal });
  const logRequest = logRequests(log);
  const handle = (request: IncomingMessage, response: ServerResponse) =>
    logRequest(request, response, () => void answer(request, response));

  // #region server
  // Its types do not know that requests of both versions have the same face.
  const server = createSecureServer({ ...certificate, allowHTTP1: true, ...toServerOptions(limits) }, handle as never);
  watchSessions(server, { sessions, limits, metrics, log });

  const listening = await listen(server, { port, graceMs });
  // #endregion
  listening.closing.addEventListener('abort', () => {
    metrics.goaways.inc({ reason: 'closing' }, sessions.size);
    closing.abort();
  });
  return Object.assign(listening, { sessions, metrics });
}

if (import.meta.main) {
  await main(async (stack) => {
    const { TLS_CERT: cert, TLS_KEY: key } = process.env; // PEM: for servers that stand behind one name
    const certificate = cert && key ? { cert, key } : await makeCertificate();
    const server = stack.use(await startServer({ certificate, port: envPort(), delayMs: envInteger('DELAY_MS', 0) }));
    // The certificate vouches for itself: who shall trust it has to be given it.
    const ca = stack.use(await publishCertificate(certificate));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: curl --http2 --cacert ${ca.path} ${server.url}/resource1`);
    console.log(`                 or: pnpm -C packages/http2-multiplexing client ${server.url} ${ca.path}`);
  });
}
