/**
 * A call, as one or more attempts: the same request, to the next instance, as long as that is safe, may help, and is in time.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs, isPassing, isSafeToRepeat, type RetryBudget } from '@patterns/request-response/retry';
import { type Dispatcher, request } from 'undici';
import { type Answer, headerOf, readAnswer } from './answer.ts';
import { DEADLINE_HEADER, type Deadline, newDeadline } from './deadline.ts';
import type { CallOptions } from './dependency.ts';
import { DependencyError } from './dependency-error.ts';
import type { Identity } from './identity.ts';
import { Instances } from './instances.ts';
import { startSpan } from './spans.ts';

export interface Call {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** Sent as JSON; a form as a form. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Asking twice does what asking once does. Default: by the method, or an `Idempotency-Key`. */
  readonly repeatable?: boolean;
}

export interface AttemptOptions {
  name: string;
  urls: readonly string[];
  audience: string;
  identity: Identity | undefined;
  timeoutMs: number;
  retries: number;
  agent: Dispatcher;
  budget: RetryBudget;
}

/** What a hop keeps for itself: for the way back, and for its own answer. */
const RESERVE_MS = 50;

/** Makes the function that does one call. */
export function attempts(options: AttemptOptions): (call: Call, options: CallOptions) => Promise<Answer> {
  const { name, urls, retries, budget } = options;
  const instances = new Instances(urls);

  // #region attempts
  return async (call, { deadline, ...context }) => {
    budget.earn();
    const isRepeatable = call.repeatable ?? isSafeToRepeat(call.method, call.headers ?? {});
    const tried = new Set<string>();
    for (let repeated = 0; ; ) {
      const url = instances.next(tried);
      tried.add(url);
      const outcome = await once(url, call, deadline, context).catch((error) => failure(error, deadline));
      const isError = outcome instanceof DependencyError;
      if (isError && outcome.code === 'unreachable') instances.rest(url);
      // Nothing was sent: that somebody else is asked is no repetition, and no load.
      if (isError && outcome.isUnsent && instances.hasOther(tried)) continue;

      const retryAfter = isError ? outcome.retryAfter : headerOf(outcome, 'retry-after');
      const { status } = outcome;
      const mayHelp = isError && status === undefined ? outcome.code !== 'protocol' : isPassing(status!, retryAfter);
      const pauseMs = instances.hasOther(tried) ? 0 : backoffMs(repeated, retryAfter);
      const isInTime = pauseMs + RESERVE_MS < deadline.leftMs();
      if (mayHelp && isRepeatable && repeated < retries && isInTime && budget.spend()) {
        repeated++;
        await delay(pauseMs, undefined, { signal: deadline.signal });
        continue;
      }
      if (isError) throw outcome;
      return outcome;
    }
  };
  // #endregion

  async function once(
    url: string,
    call: Call,
    deadline: Deadline,
    context: Omit<CallOptions, 'deadline'>,
  ): Promise<Answer> {
    const limitMs = Math.min(options.timeoutMs, deadline.leftMs() - RESERVE_MS);
    if (limitMs <= 0) throw new DependencyError('timeout', name, { isUnsent: true, isFault: false });
    const limit = newDeadline(limitMs, deadline.signal);
    const attributes = {
      'http.request.method': call.method,
      'url.path': call.path.split('?', 1)[0]!,
      'server.address': url,
    };
    const span = startSpan(`${call.method} ${name}`, { kind: 'client', parent: context.parent, attributes });
    try {
      const answer = await request(new URL(call.path, url), {
        dispatcher: options.agent,
        method: call.method,
        headers: {
          ...(call.body === undefined ? {} : { 'Content-Type': isForm(call.body) ? FORM : 'application/json' }),
          ...call.headers,
          ...authorization(context.subject),
          [DEADLINE_HEADER]: String(Math.max(0, Math.floor(limitMs - RESERVE_MS))),
          traceparent: span.traceparent,
        },
        body: call.body === undefined ? null : isForm(call.body) ? String(call.body) : JSON.stringify(call.body),
        signal: limit.signal,
      });
      span.set('http.response.status_code', answer.statusCode);
      return readAnswer(answer, await answer.body.text(), name);
    } catch (error) {
      const reached = limit.signal.aborted && !deadline.signal.aborted;
      const reason = reached
        ? new DependencyError('timeout', name, { isFault: limitMs >= options.timeoutMs / 2 })
        : error;
      span.set('error.type', reason instanceof DependencyError ? reason.code : 'unreachable');
      span.end(reason);
      throw reason;
    } finally {
      span.end();
    }
  }

  function failure(error: unknown, { signal }: Deadline): DependencyError {
    if (error instanceof DependencyError) return error;
    signal.throwIfAborted(); // the caller has left, or its time is over
    const code = (error as { code?: string }).code ?? '';
    return new DependencyError('unreachable', name, { cause: error, isUnsent: NOT_CONNECTED.has(code) });
  }

  function authorization(subject: string | undefined): Record<string, string> {
    if (!options.identity) return {};
    return { Authorization: `Bearer ${options.identity.tokenFor(options.audience, subject)}` };
  }
}

const FORM = 'application/x-www-form-urlencoded';
const isForm = (body: unknown) => body instanceof URLSearchParams;

const NOT_CONNECTED = new Set(['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH']);
