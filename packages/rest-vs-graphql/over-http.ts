/**
 * An operation over HTTP, by its specification [GraphQL over HTTP]: graphql-http reads the request and answers it. Around it is what
 * it leaves to others: the status for an answer that has both data and errors, what caches may keep, and the log.
 */
import type { Log } from '@patterns/kit/log';
import { traceOf } from '@patterns/kit/trace';
import type { Request, Response } from 'express';
import type { ExecutionResult } from 'graphql';
import {
  createHandler,
  type Request as GraphqlRequest,
  type Response as GraphqlResponse,
  type RequestParams,
} from 'graphql-http';
import { maskErrors } from './masked-errors.ts';
import { type Admit, hashOf, type Operation } from './operation.ts';
import { GRAPHQL_RESPONSE, SQL_STATEMENTS_HEADER } from './protocol.ts';
import type { OperationContext } from './resolvers.ts';
import { sendCacheable } from './trusted-documents.ts';

/** What is known of a request while it is being answered. */
interface Asked {
  readonly context: OperationContext;
  params?: RequestParams;
  operation?: Operation;
  result?: ExecutionResult;
}

/** Reads the parameters; or says how a request is answered that is none. */
export type ReadParams = <Context>(
  request: GraphqlRequest<Request, Context>,
) => Promise<RequestParams | GraphqlResponse>;

/** The request as graphql-http wants it. */
export function asGraphqlRequest<Context>(request: Request, context: Context): GraphqlRequest<Request, Context> {
  const { originalUrl: url, headers, body } = request as Request & { body: string | undefined };
  const method = request.method === 'HEAD' ? 'GET' : request.method; // Node leaves out the body [RFC 9110 §9.3.2]
  return { method, url, headers, body: body ?? null, raw: request, context };
}

/** Makes the function that answers queries and mutations. */
export function answerOverHttp(read: ReadParams, admit: Admit, log: Log) {
  // #region handler
  const handle = createHandler<Request, Asked, OperationContext>({
    parseRequestParams: read,
    onSubscribe({ context: asked }, params) {
      asked.params = params;
      const operation = admit(params, asked.context, false);
      if (!('args' in operation)) return operation;
      asked.operation = operation;
      return operation.args;
    },
    onOperation({ context: asked, raw }, _args, result) {
      asked.result = maskErrors(result, { log, traceId: traceOf(raw.res!).traceId });
      return asked.result;
    },
  });
  // #endregion

  return async (request: Request, response: Response, context: OperationContext): Promise<void> => {
    using _deadline = context.deadline;
    const asked: Asked = { context };
    try {
      const answer = await handle(asGraphqlRequest(request, asked));
      response.set(SQL_STATEMENTS_HEADER, String(context.db.statements));
      send(request, response, answer, asked);
    } catch (error) {
      response.set(SQL_STATEMENTS_HEADER, String(context.db.statements));
      throw error;
    } finally {
      logOperation(log, response, asked);
    }
  };
}

// #region send
function send(request: Request, response: Response, [text, init]: GraphqlResponse, { result }: Asked): void {
  const isPartial = result?.data && result.errors && init.headers?.['content-type']?.startsWith(GRAPHQL_RESPONSE);
  // In the specification since September 2026 and not yet in graphql-http. Who does not know it takes it for 200 [RFC 9110 §15].
  if (isPartial) response.statusMessage = 'Partial Success';
  response.status(isPartial ? 294 : init.status).set(init.headers ?? {});
  response.set({ 'Cache-Control': 'no-store', Vary: 'Accept' });
  if (text === null) return void response.end();
  if (!response.get('Content-Type')) response.type('application/json');
  const isTrustedGet = request.method !== 'POST' && request.query.documentId !== undefined;
  if (isTrustedGet && result && !result.errors) sendCacheable(request, response, text);
  else response.end(text);
}
// #endregion

/** What was asked, by name and hash: not with which variables. Those are where the secrets are (CWE-532). */
function logOperation(log: Log, response: Response, { context, params, operation, result }: Asked): void {
  if (!params || !log.isInfoEnabled()) return;
  log.info('operation', {
    operation: operation?.name,
    type: operation?.type,
    document: hashOf(params.query),
    cost: operation?.cost,
    statements: context.db.statements,
    errors: result?.errors?.length ?? 0,
    refused: result === undefined,
    traceId: traceOf(response).traceId,
  });
}
