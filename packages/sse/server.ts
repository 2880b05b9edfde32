/**
 * A stock ticker over Server-Sent Events: one HTTP response per client that stays open, and on which the server talks.
 *
 * Unlike a WebSocket it is plain HTTP and one-way, and the resuming is part of the standard: every event has an id, a client
 * that comes back says which one it saw last, and any server on the same feed goes on from there. A stream ends when the
 * client leaves, the market closes, the server stops, or the reader is too slow.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { type Feed, FeedError, type FeedErrorCode, type FeedEvent, NOW, OLDEST } from '@patterns/feed/feed';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { answerError, HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express from 'express';
import { type EventStream, Streams } from './backpressure.ts';
import { openTicker } from './exchange.ts';
import { frameOf } from './frames.ts';
import { watchMarket } from './market.ts';
import { createMetrics } from './metrics.ts';
import * as protocol from './protocol.ts';

export interface ServerOptions {
  feed: Feed<protocol.Quote>;
  port?: number;
  log?: Log;
  /** 15 s: proxies cut a silent connection after 30 s or more, and a write is what finds a dead peer [HTML §9.2.7]. */
  heartbeatMs?: number;
  /** What clients are told to wait before they reconnect, on average. */
  retryMs?: number;
  /** Streams in all; beyond, 503. Each costs some 20 KB and a file descriptor. */
  maxStreams?: number;
  /** Live events that may wait for a slow reader; then it is cut off, and can resume. Some 200 KB, or seconds of a busy day. */
  maxPending?: number;
  graceMs?: number;
}

/** Starts the ticker on `feed`. Any number of servers may share one feed. */
export async function startServer({
  feed,
  port,
  log = createLog('sse'),
  heartbeatMs = 15_000,
  retryMs = 2_000,
  maxStreams = 10_000,
  maxPending = 1_000,
  graceMs,
}: ServerOptions): Promise<Listening> {
  const streams = new Streams();
  const metrics = createMetrics(streams);
  // Half to one and a half times the mean: clients that lost the same server do not come back in the same instant.
  const retry = () => protocol.encodeRetry(retryMs * (0.5 + Math.random()));
  const stopping = new AbortController();
  const isOverFor = await watchMarket(feed, stopping.signal, log);

  // #region stream
  function openStream({ url, headers }: IncomingMessage, response: ServerResponse): void {
    const after = protocol.readCursor(headers['last-event-id'], url);
    if (isOverFor(after)) return void response.writeHead(204).end(); // tells a client to stop reconnecting [HTML §9.2.3]
    if (streams.open.size >= maxStreams || listening.closing.aborted) {
      metrics.refused.inc();
      throw new HttpProblem(503, { detail: 'too many streams are open', headers: { 'Retry-After': '5' } });
    }
    // No frames around the writes: the end of the connection is the end of the body [RFC 9112 §6.3]. That saves a tenth of the
    // cost of a write, and loses nothing: whoever reads events drops one that was cut off in its middle [HTML §9.2.6].
    response.removeHeader('Transfer-Encoding');
    response.writeHead(200, protocol.STREAM_HEADERS);
    const stream = streams.add(response);
    stream.send(retry());
    metrics.connects.inc({ kind: after ? 'resumed' : 'new' });
    follow(stream, after ?? NOW);
  }

  function follow(stream: EventStream, after: string): void {
    const { closed, response } = stream;
    const send = (event: FeedEvent<protocol.Quote>) => {
      stream.send(frameOf(event));
      if (event.data.type === 'closed') stream.end();
      return stream.drained();
    };
    feed.follow({ after, signal: closed.signal, maxPending }, send).catch((error) => {
      if (isFeedError(error, 'cursor-expired')) {
        metrics.connects.inc({ kind: 'expired' });
        stream.send(protocol.encodeReset('your cursor has expired: prices before the next one are lost to you'));
        follow(stream, OLDEST);
      } else if (isFeedError(error, 'follower-too-slow')) {
        metrics.cutOff.inc();
        response.destroy(); // it comes back with its cursor, and reads on from the log
      } else {
        answerError(log, response, error);
      }
    });
  }
  // #endregion

  const app = express().disable('x-powered-by');
  app.head(protocol.PATH, (_request, response) => response.set(protocol.STREAM_HEADERS).end());
  app.all(protocol.PATH, methodNotAllowed('GET, HEAD'));
  app.get('/', (_request, response) => response.sendFile(fileURLToPath(new URL('page.html', import.meta.url))));
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.use(notFound, problemHandler(log));

  const logRequest = logRequests(log);
  const server = createServer((request, response) => {
    logRequest(request, response, () => {
      // A stream does not go through Express: what Express keeps of a request (2 KB) would live as long as the stream.
      if (!protocol.isStreamRequest(request)) return app(request, response);
      try {
        openStream(request, response);
      } catch (error) {
        answerError(log, response, error);
      }
    });
  });
  const listening = await listen(server, { port, graceMs });
  const heartbeat = setInterval(() => {
    for (const stream of streams.open) stream.send(protocol.HEARTBEAT);
  }, heartbeatMs);
  listening.closing.addEventListener('abort', () => {
    clearInterval(heartbeat);
    stopping.abort();
    // An ended stream makes a client reconnect; the hint spreads them over time, so that the next server is not stormed.
    for (const stream of streams.open) stream.end(retry());
  });
  return listening;
}

const isFeedError = (error: unknown, code: FeedErrorCode) => error instanceof FeedError && error.code === code;

if (import.meta.main) {
  await main(async (stack, signal) => {
    const feed = openTicker(stack, signal);
    const server = stack.use(await startServer({ feed, port: envPort(), retryMs: envInteger('RETRY_MS', 2_000) }));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: curl -N ${server.url}${protocol.PATH}`);
    console.log(
      `                 or: pnpm -C packages/sse client ${server.url}     or open ${server.url}/ in a browser`,
    );
  });
}
