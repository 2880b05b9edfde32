/**
 * The stream of one order, from the tracking service to the customer, byte by byte as it comes. Nothing is kept here: where a
 * customer who was cut off goes on is between them and tracking, by Last-Event-ID.
 *
 * A stream lasts as long as an order does, so it has no deadline, and no share in the bulkhead of calls: its connections are its
 * own. It ends when tracking ends it, when the customer leaves (then tracking is told), when tracking breaks (then the customer's
 * line is cut, since an orderly end would say that this was all), and when the gateway stops.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { STREAM_HEADERS } from '@patterns/sse/protocol';
import type { Request, Response } from 'express';
import { Agent, request as ask, type Dispatcher } from 'undici';
import { headerOf } from '../chassis/answer.ts';
import { DependencyError } from '../chassis/dependency-error.ts';
import type { Identity } from '../chassis/identity.ts';
import { type Span, spanOf, startSpan } from '../chassis/spans.ts';
import { passOn } from './answers.ts';

export interface StreamOptions {
  trackingUrl: string;
  identity: Identity;
  /** Beyond, 503. Each is two connections, and some 40 KB. */
  maxStreams?: number | undefined;
  /** Until tracking has begun to answer. */
  beginMs: number;
}

export interface Streams extends AsyncDisposable {
  /** Answers with the stream of `order`, on behalf of `customer`. Resolves when it has begun. */
  pipe(request: Request, response: Response, order: string, customer: string): Promise<void>;
  /** Cuts all: whoever follows comes back, elsewhere. */
  cut(): void;
  readonly size: number;
}

interface Asking {
  readonly order: string;
  readonly customer: string;
  readonly span: Span;
  readonly signal: AbortSignal;
}

const NAME = 'tracking';

export function openStreams({ trackingUrl, identity, maxStreams = 5_000, beginMs }: StreamOptions): Streams {
  // bodyTimeout 0: between two events nothing may come for as long as tracking likes; it is the one that sends heartbeats.
  const agent = new Agent({ connect: { timeout: beginMs }, headersTimeout: beginMs, bodyTimeout: 0 });
  const closing = new AbortController();
  const open = new Set<Response>();

  async function pipe(request: Request, response: Response, order: string, customer: string): Promise<void> {
    if (open.size >= maxStreams || closing.signal.aborted)
      throw new HttpProblem(503, { detail: 'too many streams are open', headers: { 'Retry-After': '5' } });
    const left = new AbortController();
    const span = startSpan(`STREAM ${NAME}`, { kind: 'client', parent: spanOf(response).traceparent });
    open.add(response);
    response.once('close', () => {
      open.delete(response);
      left.abort();
      span.end();
    });
    const answer = await begin(request, {
      order,
      customer,
      span,
      signal: AbortSignal.any([left.signal, closing.signal]),
    });
    if (answer.statusCode !== 200) {
      const { statusCode: status, headers } = answer;
      return passOn(response, { status, headers, body: (await answer.body.text()) || undefined }, NAME);
    }
    response.writeHead(200, STREAM_HEADERS);
    response.flushHeaders(); // before the first event: a browser is told now that it is connected
    // `pipeline` would do, with five more listeners on each response. When the customer leaves, `left` ends the other side.
    answer.body.once('error', () => response.destroy()).pipe(response);
  }

  /** Asks for the stream. @throws {DependencyError} when there is none. */
  async function begin(request: Request, { order, customer, span, signal }: Asking): Promise<Dispatcher.ResponseData> {
    const after = request.get('Last-Event-ID') ?? request.query.after;
    try {
      const answer = await ask(new URL(`/orders/${encodeURIComponent(order)}/events`, trackingUrl), {
        dispatcher: agent,
        signal,
        headers: {
          Accept: 'text/event-stream',
          Authorization: `Bearer ${identity.tokenFor(NAME, customer)}`,
          traceparent: span.traceparent,
          ...(typeof after === 'string' ? { 'Last-Event-ID': after } : {}),
        },
      });
      span.set('http.response.status_code', answer.statusCode);
      if (answer.statusCode < 500) return answer;
      await answer.body.dump();
      throw new DependencyError('refused', NAME, {
        status: answer.statusCode,
        retryAfter: headerOf(answer, 'retry-after'),
      });
    } catch (error) {
      const reason =
        error instanceof DependencyError ? error : new DependencyError(codeOf(error), NAME, { cause: error });
      span.end(reason);
      throw reason;
    }
  }

  return {
    pipe,
    cut: () => closing.abort(),
    get size() {
      return open.size;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await agent.destroy();
    },
  };
}

const codeOf = (error: unknown) =>
  (error as { code?: string }).code === 'UND_ERR_HEADERS_TIMEOUT' ? 'timeout' : 'unreachable';
