/**
 * Many lanes, folded into few: HTTP/2 in front, old applications that speak HTTP/1.1 behind.
 *
 * A client's hundred streams come on one connection. Behind it each request needs a connection for itself for as long as it is
 * answered, so they share a bounded pool (upstream-pool.ts), and the rest waits. On the way the message changes its version
 * (headers.ts), which is where proxies are attacked. It ends by draining: GOAWAY in front, what is open is answered, then the
 * pool is closed.
 */
import type { IncomingMessage } from 'node:http';
import { createSecureServer, type ServerHttp2Session } from 'node:http2';
import { type Certificate, makeCertificate, publishCertificate } from '@patterns/kit/certificate';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import type { Registry } from 'prom-client';
import { askBackends } from './ask-backend.ts';
import { startBackend } from './backend.ts';
import { createExchange, type ProxyResponse } from './exchange.ts';
import { LIMITS, type Limits, toServerOptions } from './limits.ts';
import { createMetrics } from './metrics.ts';
import { createProxyMetrics } from './proxy-metrics.ts';
import { watchSessions } from './sessions.ts';
import { type UpstreamOptions, UpstreamPool } from './upstream-pool.ts';

export interface DemultiplexerOptions {
  /** URLs of HTTP/1.1 servers that all do the same. */
  backends: readonly string[];
  certificate: Certificate;
  port?: number;
  /** Until a backend begins to answer. 10 s: about as long as a person waits. */
  answerMs?: number;
  /** Between two pieces of a body, in either direction. Longer than between two heartbeats of an event stream. */
  silenceMs?: number;
  upstream?: Omit<UpstreamOptions, 'onWaited'>;
  limits?: Partial<Limits>;
  log?: Log;
  graceMs?: number;
}

export interface Demultiplexer extends Listening {
  readonly upstream: UpstreamPool;
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  readonly registry: Registry;
}

/** Where the proxy answers itself. */
export const METRICS_PATH = '/-/metrics';

/** Starts the proxy. Clients may speak HTTP/2 or HTTP/1.1. */
export async function startDemultiplexer({
  backends,
  certificate,
  port,
  answerMs = 10_000,
  silenceMs = 60_000,
  upstream: upstreamOptions,
  limits: changed,
  log = createLog('demultiplexer'),
  graceMs,
}: DemultiplexerOptions): Promise<Demultiplexer> {
  const limits = { ...LIMITS, streamIdleMs: silenceMs, ...changed };
  const sessions = new Set<ServerHttp2Session>();
  const metrics = createMetrics({ sessions });
  const { queueWait, failures } = createProxyMetrics(metrics.registry, () => upstream);
  const onWaited = (ms: number) => queueWait.observe(ms / 1_000);
  const upstream = new UpstreamPool(backends, { ...upstreamOptions, onWaited });

  const ask = askBackends({
    upstream,
    answerMs,
    silenceMs,
    onEjected: ({ url }, cause) => log.warn('backend left out', { url, cause }),
  });
  const onFailure = (status: number) => failures.inc({ status });
  const exchange = createExchange(ask, { log, silenceMs, onFailure });
  const logRequest = logRequests(log);

  const server = createSecureServer({ ...certificate, allowHTTP1: true, ...toServerOptions(limits) });
  // Both versions look alike from here on: Node gives HTTP/2 streams the face of HTTP/1.1 requests.
  server.on('request', (...pair: unknown[]) => {
    const [request, response] = pair as [IncomingMessage, ProxyResponse];
    logRequest(request, response, () => {
      if (request.url === METRICS_PATH) void sendMetrics(response, metrics.registry);
      else exchange(request, response);
    });
  });
  // A client that asks before it sends is told to go on when a backend is there to take it, and not by Node.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  watchSessions(server, { sessions, limits, metrics, log });

  const listening = await listen(server, { port, graceMs });
  const close = async () => {
    await listening.close();
    await upstream[Symbol.asyncDispose]();
  };
  // All that a listening server has, and a close that goes on behind it.
  return Object.create(listening, {
    upstream: { value: upstream },
    sessions: { value: sessions },
    registry: { value: metrics.registry },
    close: { value: close },
    [Symbol.asyncDispose]: { value: close },
  });
}

async function sendMetrics(response: ProxyResponse, registry: Registry): Promise<void> {
  response.writeHead(200, { 'Content-Type': registry.contentType }).end(await registry.metrics());
}

if (import.meta.main) {
  await main(async (stack) => {
    const delayMs = envInteger('DELAY_MS', 0);
    const given = process.argv.slice(2);
    const open = async () => stack.use(await startBackend({ delayMs })).url;
    const backends = given.length > 0 ? given : [await open(), await open()];
    const certificate = await makeCertificate();
    // The certificate vouches for itself: who shall trust it has to be given it.
    const ca = stack.use(await publishCertificate(certificate));
    const upstream = { connections: envInteger('CONNECTIONS', 8, { min: 1 }) };
    const proxy = stack.use(await startDemultiplexer({ backends, certificate, port: envPort(), upstream }));
    console.log(`listening on ${proxy.url}`);
    console.log(`${upstream.connections} connections to each of ${backends.join(' ')}`);
    console.log(`in another terminal: curl --http2 --cacert ${ca.path} ${proxy.url}/items/1`);
    console.log(`                and: curl --http2 --cacert ${ca.path} ${proxy.url}${METRICS_PATH}`);
  });
}
