/**
 * One call: a request that is answered, repeated where that is safe, or given up, within a deadline in any case.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { continueTrace, toTraceparent } from '@patterns/kit/trace';
import { backoffMs, isPassing, isSafeToRepeat, RetryBudget } from './retry.ts';

export class CallError extends Error {
  override readonly name = 'CallError';
  /** `timeout`: not in time · `refused`: answered, with an error · `network`: not reached · `protocol`: not understood. */
  readonly code: 'timeout' | 'refused' | 'network' | 'protocol';
  /** Of the answer that refused. */
  readonly status: number | undefined;

  constructor(
    code: CallError['code'],
    message: string,
    { status, ...options }: ErrorOptions & { status?: number } = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = status;
  }
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** For everything, retries and their pauses included. 10 s: about as long as a person waits. */
  deadlineMs?: number | undefined;
  /** For one attempt, its body included: an answer that got lost must leave time to ask again. */
  attemptMs?: number | undefined;
  maxAttempts?: number | undefined;
  budget?: RetryBudget;
  /** The caller's own trace, to be carried on [W3C Trace Context]. */
  traceparent?: string | undefined;
}

export interface Request {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

const sharedBudget = new RetryBudget();

// #region call
/**
 * Sends the request and returns its answer: a 2xx, or 304.
 * @throws {CallError} when there is none in time, or none that helps; what `signal` aborted with, when it did.
 */
export async function call(
  url: URL,
  request: Request,
  { signal, deadlineMs = 10_000, attemptMs = 5_000, maxAttempts = 4, budget = sharedBudget, traceparent }: CallOptions,
): Promise<Answer> {
  const startedAt = performance.now();
  const leftMs = () => deadlineMs - (performance.now() - startedAt);
  const { traceId } = continueTrace(traceparent);
  budget.earn();

  for (let attempt = 0; ; attempt++) {
    const trace = toTraceparent({ ...continueTrace(traceparent), traceId }); // one trace, a span for each attempt
    const limitMs = Math.max(0, Math.min(attemptMs, leftMs()));
    const outcome = await send(
      url,
      { ...request, headers: { ...request.headers, traceparent: trace } },
      limitMs,
      signal,
    );
    if (!(outcome instanceof CallError) && (outcome.status === 304 || isSuccess(outcome.status))) return outcome;

    const retryAfter = outcome instanceof CallError ? null : outcome.headers.get('Retry-After');
    const error = outcome instanceof CallError ? outcome : refusal(url, outcome);
    const mayHelp = error.code !== 'refused' || isPassing(error.status!, retryAfter);
    const pauseMs = backoffMs(attempt, retryAfter);
    const isWorthIt = mayHelp && attempt + 1 < maxAttempts && pauseMs < leftMs();
    if (!isWorthIt || !isSafeToRepeat(request.method, request.headers) || !budget.spend()) throw error;
    await delay(pauseMs, undefined, { signal });
  }
}
// #endregion

/** One attempt, with its body read to the end: a body that nobody reads keeps its connection from being used again. */
async function send(url: URL, request: Request, limitMs: number, signal?: AbortSignal): Promise<Answer | CallError> {
  const late = AbortSignal.timeout(Math.ceil(limitMs));
  try {
    const response = await fetch(url, {
      ...request,
      redirect: 'manual', // this API has none, and a POST is not to wander
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  } catch (cause) {
    signal?.throwIfAborted();
    if (late.aborted)
      return new CallError('timeout', `no answer from ${url.origin} within ${Math.ceil(limitMs)} ms`, { cause });
    return new CallError('network', `${url.origin} cannot be reached, or hung up`, { cause });
  }
}

const isSuccess = (status: number) => status >= 200 && status < 300;

/** `fetch` takes a 500 for a success: it is for us to look. */
function refusal(url: URL, { status, headers, text }: Answer): CallError {
  const isProblem = headers.get('Content-Type')?.startsWith('application/problem+json');
  return new CallError('refused', `${status} from ${url.pathname}${isProblem ? `: ${text}` : ''}`, { status });
}
