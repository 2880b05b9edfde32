/**
 * How a call to another service may fail, and what that means to whoever is waiting for us.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { BrokenCircuitError, BulkheadRejectedError } from 'cockatiel';
import type { ErrorRequestHandler } from 'express';

/** - `timeout`: no answer in time; it may have been done, or will be
 *  - `unreachable`: the connection failed, or broke
 *  - `open`: it has failed too often, and is left alone for a while: nothing was sent
 *  - `full`: as many calls are under way as may be: nothing was sent
 *  - `refused`: answered, with an error of its own (5xx)
 *  - `protocol`: the answer is not what was agreed upon */
export type DependencyCode = 'timeout' | 'unreachable' | 'open' | 'full' | 'refused' | 'protocol';

export interface DependencyErrorOptions extends ErrorOptions {
  /** Of the answer that refused. */
  status?: number;
  /** The answer's field `Retry-After`, if it had one. */
  retryAfter?: string | null;
  /** It could not be sent at all, so that anybody may be asked instead. */
  isUnsent?: boolean;
  /** False: it says nothing about the callee (too little time was left), and does not count for the breaker. */
  isFault?: boolean;
}

export class DependencyError extends Error {
  override readonly name = 'DependencyError';
  readonly code: DependencyCode;
  readonly dependency: string;
  readonly status: number | undefined;
  readonly retryAfter: string | null;
  readonly isUnsent: boolean;
  readonly isFault: boolean;

  constructor(code: DependencyCode, dependency: string, options: DependencyErrorOptions = {}) {
    const { status, retryAfter = null, isUnsent = false, isFault = code !== 'open' && code !== 'full' } = options;
    super(`${dependency}: ${status ? `${code} (${status})` : code}`, options);
    this.code = code;
    this.dependency = dependency;
    this.status = status;
    this.retryAfter = retryAfter;
    this.isUnsent = isUnsent;
    this.isFault = isFault;
  }

  /** Puts what the policies say, and a deadline that is over, in our terms. Anything else is left as it is. */
  static from(error: unknown, dependency: string): unknown {
    if (error instanceof BrokenCircuitError) return new DependencyError('open', dependency, { cause: error });
    if (error instanceof BulkheadRejectedError) return new DependencyError('full', dependency, { cause: error });
    if (!(error instanceof HttpProblem) || error.status !== 504) return error;
    return new DependencyError('timeout', dependency, { cause: error, isFault: false });
  }
}

/** Seconds: as long as a breaker stays open. */
const RETRY_AFTER = '2';

/** Express: a dependency that failed, for our own caller [RFC 9110 §15.6]. Who it was is said, and nothing of how it is built. */
export const sayDependency: ErrorRequestHandler = (error, _request, _response, next) =>
  next(error instanceof DependencyError ? asProblem(error) : error);

function asProblem(error: DependencyError): HttpProblem {
  const { code, dependency, status, retryAfter } = error;
  const headers = { 'Retry-After': retryAfter ?? RETRY_AFTER };
  if (code === 'timeout')
    return new HttpProblem(504, { detail: `${dependency} did not answer in time`, headers, cause: error });
  const isBad = code === 'protocol' || (code === 'refused' && status !== 503 && status !== 504);
  if (isBad) return new HttpProblem(502, { detail: `${dependency} failed`, cause: error });
  return new HttpProblem(503, { detail: `${dependency} is not available`, headers, cause: error });
}
