/**
 * A handler of the REST server is given who asks and a database, and returns what it answers. What all answers have in common is
 * here: what may be kept of them and for whom, what they cost, and how a refusal looks.
 */
import { HttpProblem, type ProblemOptions } from '@patterns/kit/problem';
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express';
import { BlogError, type BlogErrorCode } from './blog-error.ts';
import type { Announce } from './comment-feed.ts';
import { etagOfText, isCurrent } from './conditional.ts';
import type { Database } from './database.ts';
import { whenLeft } from './departure.ts';
import { SQL_STATEMENTS_HEADER } from './protocol.ts';
import { type Context, readViewer, type Tokens } from './viewer.ts';

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** What a handler works with. */
export interface RestContext extends Context {
  readonly announce: Announce;
}

export type Handler = (context: RestContext, request: Request<Record<string, string>>) => Promise<Answer>;

/** Makes Express's handlers of ours. When the client leaves, the statement under way is cancelled. */
export function answerWith(
  database: Database,
  tokens: Tokens,
  announce: Announce,
): (handler: Handler) => RequestHandler<Record<string, string>> {
  return (handler) => async (request, response) => {
    const db = database.forRequest(whenLeft(response));
    try {
      const viewer = readViewer(request.get('Authorization'), tokens);
      const answer = await handler({ db, viewer, announce }, request);
      response.set(SQL_STATEMENTS_HEADER, String(db.statements));
      if (request.method === 'GET' || request.method === 'HEAD') sendRepresentation(request, response, answer);
      else send(response.set('Cache-Control', 'no-store'), answer, JSON.stringify(answer.body));
    } catch (error) {
      response.set(SQL_STATEMENTS_HEADER, String(db.statements));
      throw error;
    }
  };
}

// #region representation
function sendRepresentation(request: Request<Record<string, string>>, response: Response, answer: Answer): void {
  const text = JSON.stringify(answer.body);
  const { ETag = etagOfText(text) } = answer.headers ?? {};
  // Kept, and asked for again each time: an answer is never old, and mostly a 304. What somebody has been shown because of who
  // they are must not be kept for others [RFC 9111 §3.5].
  const whose = request.headers.authorization === undefined ? 'public' : 'private';
  response.set({ ETag, 'Cache-Control': `${whose}, no-cache`, Vary: 'Authorization' });
  if (isCurrent(request.headers['if-none-match'], ETag)) response.status(304).end();
  else send(response, answer, text);
}
// #endregion

function send(response: Response, { status = 200, headers = {} }: Answer, text: string): void {
  response.status(status).set(headers);
  response.set({
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(text)),
  });
  response.end(text);
}

/** `Retry-After`: what leads there has waited for seconds itself. */
const AS_PROBLEM: Readonly<Record<BlogErrorCode, { status: number; headers?: Readonly<Record<string, string>> }>> = {
  invalid: { status: 400 },
  unauthenticated: { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } },
  forbidden: { status: 403 },
  'not-found': { status: 404 },
  conflict: { status: 412 },
  unavailable: { status: 503, headers: { 'Retry-After': '2' } },
};

/** Express: says in HTTP what went wrong in the blog, and passes on the rest. */
export const asHttpProblem: ErrorRequestHandler = (error: unknown, _request, _response, next) => next(problemOf(error));

function problemOf(error: unknown): unknown {
  if (error instanceof BlogError) {
    const { status, headers } = AS_PROBLEM[error.code];
    const options: ProblemOptions = { detail: error.message, cause: error, ...(headers && { headers }) };
    return new HttpProblem(status, error.errors.length > 0 ? { ...options, errors: error.errors } : options);
  }
  if ((error as { type?: string }).type === 'entity.parse.failed') {
    const errors = [{ field: '', expected: 'a JSON object' }];
    return new HttpProblem(400, { detail: 'the body is not JSON', errors, cause: error });
  }
  return error;
}
