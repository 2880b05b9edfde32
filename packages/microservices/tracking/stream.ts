/**
 * `GET /orders/:id/events`: one order's progress, from its beginning or from where the customer left off, until its final state.
 *
 * What is hard about a stream (writing it, a reader that is too slow, the cursor) is composed from packages/sse. What is added here:
 * it ends, and whoever has seen the end and asks again is told so (204); and when the feed no longer has what the cursor points at,
 * the customer gets how the order stands now instead.
 */
import { compareIds } from '@patterns/feed/cursor';
import { type Feed, FeedError, type FeedEvent } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import { answerError, HttpProblem } from '@patterns/kit/problem';
import { type EventStream, Streams } from '@patterns/sse/backpressure';
import { encode, encodeReset, encodeRetry, HEARTBEAT, readCursor, STREAM_HEADERS } from '@patterns/sse/protocol';
import type { Request, Response } from 'express';
import type { Database } from '../chassis/database.ts';
import { startSpan } from '../chassis/spans.ts';
import { FINAL_STATES, type Progress } from '../protocol.ts';
import { type Known, lookUp } from './deliveries.ts';

/** What the feed carries. */
export type Tracked = Progress & { readonly traceparent?: string };

export interface StreamsOptions {
  feed: Feed<Tracked>;
  database: Database;
  routeMetres: number;
  log: Log;
  /** 15 s: proxies cut a silent connection after 30 s or more, and a write is what finds a dead peer. */
  heartbeatMs?: number;
  /** What customers are told to wait before they come back, on average. */
  retryMs?: number;
  maxStreams?: number;
  /** Live events that may wait for a slow reader; then it is cut off, and can resume. An order has some twenty in all. */
  maxPending?: number;
}

export function openStreams({
  feed,
  database,
  routeMetres,
  log,
  heartbeatMs = 15_000,
  retryMs = 1_000,
  maxStreams = 10_000,
  maxPending = 100,
}: StreamsOptions) {
  const streams = new Streams();
  const retry = () => encodeRetry(retryMs * (0.5 + Math.random()));
  const heartbeat = setInterval(() => {
    for (const stream of streams.open) stream.send(HEARTBEAT);
  }, heartbeatMs);

  /** The feed's position comes first: nothing that is told after it can be missed. */
  const know = async (order: string) => {
    const position = await feed.position();
    return { position, known: await lookUp(database, order, position, routeMetres) };
  };

  // #region stream
  async function openStream(request: Request<{ id: string }>, response: Response): Promise<void> {
    const after = readCursor(request.headers['last-event-id'], request.url);
    if (streams.open.size >= maxStreams) {
      throw new HttpProblem(503, { detail: 'too many streams are open', headers: { 'Retry-After': '5' } });
    }
    const { known } = await know(request.params.id).catch((cause) => {
      if (!(cause instanceof FeedError)) throw cause;
      throw new HttpProblem(503, { detail: 'the feed does not answer', headers: { 'Retry-After': '1' }, cause });
    });
    if (response.destroyed) return;
    // Seen to the end: tells an EventSource to stop coming back [HTML §9.2.3].
    if (after && known.ends && compareIds(after, known.ends) >= 0) return void response.writeHead(204).end();
    response.removeHeader('Transfer-Encoding'); // the end of the connection is the end of the body
    response.writeHead(200, STREAM_HEADERS);
    const stream = streams.add(response);
    stream.send(retry());
    follow(stream, request.params.id, after ?? known.begins);
  }

  function follow(stream: EventStream, order: string, after: string): void {
    const { closed, response } = stream;
    const send = (event: FeedEvent<Tracked>) => {
      push(stream, event.data, event.id);
      return stream.drained();
    };
    feed.follow({ after, topic: order, signal: closed.signal, maxPending }, send).catch(async (error) => {
      if (error instanceof FeedError && error.code === 'cursor-expired') return goOnFromNow(stream, order);
      if (error instanceof FeedError && error.code === 'follower-too-slow') return response.destroy();
      answerError(log, response, error);
    });
  }
  // #endregion

  async function goOnFromNow(stream: EventStream, order: string): Promise<void> {
    try {
      const { position, known } = await know(order);
      stream.send(encodeReset('what came before is no longer kept: here is how it stands'));
      const progress = stateOf(order, known);
      if (progress) push(stream, progress);
      if (!stream.response.writableEnded) follow(stream, order, position);
    } catch (error) {
      answerError(log, stream.response, error); // it comes back, and is told then
    }
  }

  return {
    open: streams.open,
    openStream,
    /** Ends all: their readers come back, spread over time, and go on at another instance or at the next one. */
    end(): void {
      clearInterval(heartbeat);
      for (const stream of streams.open) stream.end(retry());
    },
  };
}

function push(stream: EventStream, progress: Tracked, id?: string): void {
  const span = startSpan(`push ${progress.type}`, { kind: 'producer', parent: progress.traceparent });
  const { traceparent } = span;
  const data = JSON.stringify(progress.traceparent ? { ...progress, traceparent } : progress);
  stream.send(encode({ event: progress.type, data, ...(id === undefined ? {} : { id }) }));
  if (progress.type === 'state' && FINAL_STATES.includes(progress.state)) stream.end();
  span.end();
}

function stateOf(order: string, { state, reason }: Known): Progress | undefined {
  if (state === null) return undefined;
  return { type: 'state', order, state, ...(reason === null ? {} : { reason }) };
}
