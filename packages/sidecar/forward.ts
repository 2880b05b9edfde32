/**
 * The last power: asks the app, through the breaker, a second time if that is safe, and turns its silence into a status.
 * What the app answers is passed on as it is, be it good or bad.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '@patterns/kit/log';
import type { Breaker, Permit } from './breaker.ts';
import type { Head, Outgoing, Send, Timeouts } from './engine.ts';
import { type Exchange, exchangeOf, type Power, refuse } from './exchange.ts';
import { announcesBody, outgoingHeaders } from './forwarded.ts';
import { endToEnd } from './hop-by-hop.ts';
import type { Metrics } from './metrics.ts';
import { PSEUDONYM, problemOf, UpstreamError, VIA } from './protocol.ts';
import { isRepeatable, type RetryBudget, retryDelayMs } from './retry.ts';

export interface ForwardOptions {
  send: Send;
  breaker: Breaker;
  budget: RetryBudget;
  timeouts: Timeouts;
  metrics: Metrics;
  log: Log;
}

/** The client left: nobody to tell, and not the app's fault. */
const GONE = new Error('the client has left');

export function forward({ send, breaker, budget, timeouts, metrics, log }: ForwardOptions): Power {
  return (request, response) => {
    if (response.destroyed) return; // the client left while a power was waiting: `close` will not be heard any more
    const exchange = exchangeOf(response);
    const hasBody = announcesBody(request);
    const { method = '' } = request;
    const outgoing = { method, path: exchange.path, headers: outgoingHeaders(exchange, hasBody), hasBody };
    const timer = setTimeout(() => exchange.abort?.(new UpstreamError('http_response_timeout')), timeouts.totalMs);
    response.once('close', () => {
      clearTimeout(timer);
      if (!response.writableFinished) exchange.abort?.(GONE);
    });
    // The powers have let it pass: now the client may send its body, which it has not wasted on a 401.
    if (request.headers.expect !== undefined) response.writeContinue();
    budget.earn();
    ask(exchange, outgoing, timer).catch((error) => {
      if (!response.destroyed) refuse(log, response, error instanceof UpstreamError ? explain(error) : error);
    });
  };

  // #region ask
  async function ask(exchange: Exchange, outgoing: Outgoing, timer: NodeJS.Timeout): Promise<void> {
    const permit = breaker.enter();
    if (!permit) throw new UpstreamError('destination_unavailable');
    const askedAt = performance.now();
    let taker: ReturnType<NonNullable<Exchange['onAnswer']>>;
    const onHead = (status: number, rawHeaders: readonly string[]): Head => {
      permit.answered(); // now, not at the end of a stream that may last for hours
      exchange.upstreamMs = performance.now() - askedAt;
      metrics.overhead.observe((askedAt - exchange.startedAt) / 1_000);
      if (isEventStream(rawHeaders)) clearTimeout(timer);
      taker = exchange.onAnswer?.(status, rawHeaders);
      return { headers: answerHeaders(exchange, rawHeaders, taker !== undefined), onChunk: taker?.chunk };
    };
    exchange.attempts++;
    metrics.asking.inc();
    try {
      await send(exchange, outgoing, onHead);
      taker?.end();
    } catch (error) {
      settle(permit, error);
      if (exchange.attempts > 1 || !isWorthRepeating(error, exchange, outgoing) || !budget.spend()) throw error;
      metrics.retries.inc();
      await delay(retryDelayMs());
      if (!exchange.response.destroyed) await ask(exchange, outgoing, timer);
    } finally {
      exchange.abort = undefined;
      metrics.asking.dec();
    }
  }

  function settle(permit: Permit, error: unknown): void {
    if (error instanceof UpstreamError) {
      metrics.failures.inc({ error: error.code });
      permit.failed();
    } else permit.abandoned();
  }
  // #endregion

  /** A breaker that is open says when to come back. */
  function explain(error: UpstreamError) {
    if (error.code !== 'destination_unavailable') return problemOf(error);
    return problemOf(error, { 'Retry-After': String(Math.max(1, Math.ceil(breaker.waitMs / 1_000))) });
  }
}

/** Not after a timeout: the app is slow, and would be asked twice for what it cannot do once. */
function isWorthRepeating(error: unknown, { response }: Exchange, { method, hasBody }: Outgoing): boolean {
  if (!(error instanceof UpstreamError) || response.headersSent || response.destroyed) return false;
  const isQuick = error.code === 'connection_refused' || error.code === 'connection_terminated';
  return isQuick && isRepeatable(method, hasBody);
}

/** The app's headers for the client. */
function answerHeaders({ cache, fields }: Exchange, rawHeaders: readonly string[], isKept: boolean): string[] {
  const headers = endToEnd(rawHeaders);
  headers.push('Via', VIA, ...fields);
  if (cache) headers.push('Cache-Status', `${PSEUDONYM}; fwd=miss${isKept ? '; stored' : ''}`);
  return headers;
}

function isEventStream(rawHeaders: readonly string[]): boolean {
  const at = rawHeaders.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type');
  return at !== -1 && rawHeaders[at + 1]!.startsWith('text/event-stream');
}
