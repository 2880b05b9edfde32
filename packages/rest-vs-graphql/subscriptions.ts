/**
 * Subscriptions: the streams that are open, and what is sent on them. How they are asked for is over-sse.ts.
 *
 * The rules are those of packages/sse, and the feed is the same: backlog first, then live, nothing lost and nothing twice. What
 * GraphQL adds: each event is an execution of the selection, with loaders, a deadline and statements of its own, since what was
 * loaded for one event is out of date at the next. A stream ends when the client leaves, reads too slowly, or the server stops.
 */
import { once } from 'node:events';
import { isCursor } from '@patterns/feed/cursor';
import { type Feed, FeedError, type FeedEvent } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { traceOf } from '@patterns/kit/trace';
import type { Request, Response } from 'express';
import { createSourceEventStream, executeSubscriptionEvent, validateSubscriptionArgs } from 'graphql';
import type { CommentAdded } from './comment-feed.ts';
import { encodeId, encodeNext, encodeRetry, HEARTBEAT, STREAM_HEADERS, sendRefusal } from './event-stream.ts';
import { maskErrors } from './masked-errors.ts';
import type { Operation } from './operation.ts';
import type { OperationContext } from './resolvers.ts';
import { followFeed, subscribeField } from './subscribe-field.ts';

export interface StreamOptions {
  /** 15 s: proxies cut a silent connection after 30 s or more. */
  heartbeatMs?: number | undefined;
  /** Streams in all; beyond, 503. */
  maxStreams?: number | undefined;
  /** Events that may wait for a slow reader; then it is cut off, and can resume. */
  maxPending?: number | undefined;
}

/** Opens what one execution needs: it is over when its time is up, or `left` aborts. */
export type OpenContext = (left: AbortSignal) => OperationContext;

/** What clients are told to wait before they come back. */
const RETRY_MS = 2_000;

/** Dispose it when the server begins to close: each stream ends, and its client comes back to another server. */
export class Subscriptions implements Disposable {
  readonly #feed: Feed<CommentAdded>;
  readonly #log: Log;
  readonly #options: StreamOptions;
  readonly #open = new Map<Response, AbortController>();
  readonly #heartbeat: NodeJS.Timeout;

  constructor(feed: Feed<CommentAdded>, log: Log, options: StreamOptions = {}) {
    this.#feed = feed;
    this.#log = log;
    this.#options = options;
    this.#heartbeat = setInterval(() => {
      for (const response of this.#open.keys()) response.write(HEARTBEAT);
    }, options.heartbeatMs ?? 15_000);
  }

  get open(): number {
    return this.#open.size;
  }

  /** Answers with a stream; resolves when it has ended. @throws {HttpProblem} before it has begun: 400, 410 or 503. */
  async serve(request: Request, response: Response, operation: Operation, openContext: OpenContext): Promise<void> {
    const { maxPending, maxStreams = 1_000 } = this.#options;
    if (this.#open.size >= maxStreams) throw busy('too many streams are open');
    const stopped = new AbortController();
    const { signal } = stopped;
    response.once('close', () => stopped.abort());
    const mask = { log: this.#log, traceId: traceOf(response).traceId };

    // #region source
    const after = await startOf(this.#feed, request.get('Last-Event-ID'));
    const follow = (topic: string) =>
      followFeed(this.#feed, { after, topic, signal, maxPending }, (error) => {
        if (signal.aborted) return;
        this.#log.warn('a subscription is cut off', { error, traceId: mask.traceId });
        response.destroy(); // it comes back with its cursor, and reads on from the log
      });
    const context = openContext(signal);
    using _opening = context.deadline;
    const args = validateSubscriptionArgs({
      ...operation.args,
      contextValue: { ...context, follow },
      subscribeFieldResolver: subscribeField,
    });
    if (!('operation' in args)) return sendRefusal(response, { errors: args });
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return sendRefusal(response, maskErrors(source, mask));
    // #endregion

    this.#open.set(response, stopped);
    response.writeHead(200, STREAM_HEADERS).write(encodeRetry(RETRY_MS) + encodeId(after));
    try {
      // #region events
      for await (const { id, data } of source as AsyncIterable<FeedEvent<CommentAdded>>) {
        const contextValue = openContext(signal);
        using _deadline = contextValue.deadline;
        const result = await executeSubscriptionEvent({ ...args, rootValue: { commentAdded: data }, contextValue });
        const isFull = !response.write(encodeNext(maskErrors(result, mask), id));
        if (isFull) await once(response, 'drain', { signal }); // the feed holds the next one back meanwhile
      }
      // #endregion
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#open.delete(response);
      // Half to one and a half times as long: clients that lost the same server do not come back in the same instant.
      response.end(encodeRetry(RETRY_MS * (0.5 + Math.random())));
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#heartbeat);
    for (const stopped of this.#open.values()) stopped.abort();
  }
}

/** Where a stream begins: after the event that the client saw last, or after all that there are now. */
async function startOf(feed: Feed<CommentAdded>, cursor: string | undefined): Promise<string> {
  if (cursor && !isCursor(cursor)) {
    const errors = [{ field: 'Last-Event-ID', expected: 'the id of an event of this subscription' }];
    throw new HttpProblem(400, { detail: 'the cursor is malformed', errors });
  }
  try {
    if (!cursor) return await feed.position();
    await feed.read({ after: cursor, limit: 1 });
    return cursor;
  } catch (error) {
    if (!(error instanceof FeedError)) throw error;
    if (error.code !== 'cursor-expired') throw busy('the feed cannot be reached', error);
    throw new HttpProblem(410, { detail: 'the cursor has expired: some comments are lost to you', cause: error });
  }
}

const busy = (detail: string, cause?: unknown) =>
  new HttpProblem(503, { detail, cause, headers: { 'Retry-After': '5' } });
