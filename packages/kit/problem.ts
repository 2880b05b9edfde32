/**
 * Errors over HTTP, as `application/problem+json` [RFC 9457].
 * What the caller did wrong is said field by field; what went wrong inside is logged and not told.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { ErrorRequestHandler, RequestHandler } from 'express';
import type { Log } from './log.ts';
import { traceOf } from './trace.ts';

export interface FieldError {
  /** Where, as a JSON pointer into the body (`/items/0/quantity`) or the name of a header or query parameter. */
  readonly field: string;
  /** What would have been right. */
  readonly expected: string;
}

export interface ProblemOptions extends ErrorOptions {
  readonly detail?: string;
  readonly errors?: readonly FieldError[];
  /** Headers that belong to the status: `Allow`, `Retry-After`, `Accept`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that is not the one the caller hoped for. Throw it in a handler; `problemHandler` sends it. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly status: number;
  readonly options: ProblemOptions;

  constructor(status: number, options: ProblemOptions = {}) {
    super(options.detail ?? STATUS_CODES[status] ?? `status ${status}`, options);
    this.status = status;
    this.options = options;
  }
}

/** Set before it failed, they would have the error cached, revalidated or decoded as that answer [RFC 9110 §15.1]. */
const OF_THE_ANSWER_THAT_FAILED = ['Cache-Control', 'Content-Encoding', 'Content-Language', 'ETag', 'Last-Modified'];

/** Sends a problem. The body's status is the status line's, always [RFC 9457 §3.1.2]. */
export function sendProblem(response: ServerResponse, { status, options }: HttpProblem): void {
  const { detail, errors, headers } = options;
  for (const name of OF_THE_ANSWER_THAT_FAILED) response.removeHeader(name);
  // No `type`: it then is "about:blank", and the title is the status's own phrase [RFC 9457 §4.2.1].
  const body = JSON.stringify({ title: STATUS_CODES[status], status, detail, errors });
  // Not `response.send`, which would add an ETag: an error is nothing to revalidate.
  response
    .writeHead(status, {
      ...headers,
      'Content-Type': 'application/problem+json',
      'Content-Length': Buffer.byteLength(body),
    })
    .end(body);
}

/** 404 for whatever no route has answered. */
export const notFound: RequestHandler = (request) => {
  throw new HttpProblem(404, { detail: `nothing is at ${request.path}` });
};

/** 405 for a route that exists with other methods: `app.all('/menu', methodNotAllowed('GET, HEAD'))` [RFC 9110 §15.5.6]. */
export function methodNotAllowed(allow: string): RequestHandler {
  return (request) => {
    throw new HttpProblem(405, { detail: `${request.method} is not allowed here`, headers: { Allow: allow } });
  };
}

/** Express's error handler, registered last. */
export function problemHandler(log: Log): ErrorRequestHandler {
  return (error, _request, response, _next) => answerError(log, response, error);
}

/** Answers a request whose handling threw: what was unexpected is logged, and not told. */
export function answerError(log: Log, response: ServerResponse, error: unknown): void {
  const problem = asProblem(error);
  if (problem.status >= 500 && !(error instanceof HttpProblem)) {
    log.error('unexpected', { error, traceId: traceOf(response).traceId });
  }
  // Too late for another status: a cut connection tells the client that what it has is not the whole.
  if (response.headersSent) response.destroy();
  else sendProblem(response, problem);
}

function asProblem(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  // Express and its body parsers throw errors with a status; `expose` says that the message is meant for the caller.
  const { status, expose, message } = error as { status?: number; expose?: boolean; message?: string };
  if (status === undefined || status < 400 || status > 499) return new HttpProblem(500, { cause: error });
  return new HttpProblem(status, { ...(expose && message ? { detail: message } : {}), cause: error });
}
