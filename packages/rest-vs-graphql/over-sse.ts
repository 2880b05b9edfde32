/**
 * An operation over Server-Sent Events: GraphQL over SSE, in its mode of one connection for each operation.
 *
 *     id: 1795212000000-0                             the cursor: the client sends it back as Last-Event-ID
 *     event: next
 *     data: {"data":{"commentAdded":{"body":"..."}}}
 *
 *     event: complete                                 nothing more will come: here, after an error of the request
 *     data:
 *
 * What surprises: a request that is refused is a 200 with an event in it. EventSource would show a status to nobody, and the client
 * has asked for events and nothing else. Limits, budget and trusted documents are those of every operation.
 */
import type { Log } from '@patterns/kit/log';
import { traceOf } from '@patterns/kit/trace';
import type { Request, Response } from 'express';
import { GraphQLError } from 'graphql';
import type { RequestParams } from 'graphql-http';
import { sendRefusal } from './event-stream.ts';
import { type Admit, hashOf } from './operation.ts';
import { asGraphqlRequest, type ReadParams } from './over-http.ts';
import type { OpenContext, Subscriptions } from './subscriptions.ts';

/** Whether a request asks for events. */
export const wantsEvents = (request: Request): boolean =>
  request.get('Accept')?.toLowerCase().includes('text/event-stream') ?? false;

/** Makes the function that answers subscriptions. */
export function streamOverSse(read: ReadParams, admit: Admit, subscriptions: Subscriptions, log: Log) {
  return async (request: Request, response: Response, openContext: OpenContext): Promise<void> => {
    let params: RequestParams | Awaited<ReturnType<ReadParams>>;
    try {
      params = await read(asGraphqlRequest(request, undefined));
    } catch (error) {
      const { message } = error as Error; // of graphql-http's or ours, and meant for the caller
      return sendRefusal(response, { errors: [error instanceof GraphQLError ? error : new GraphQLError(message)] });
    }
    if (!('query' in params)) {
      const [, { status, headers = {} }] = params; // another method, another content type
      return void response.status(status).set(headers).end();
    }
    const unused = new AbortController();
    const context = openContext(unused.signal);
    using _deadline = context.deadline;
    const operation = admit(params, context, true);
    if (!('args' in operation)) return sendRefusal(response, { errors: operation });
    const { name, cost } = operation; // as for every operation: not with which variables
    const { traceId } = traceOf(response);
    log.info('operation', { operation: name, type: 'subscription', document: hashOf(params.query), cost, traceId });
    await subscriptions.serve(request, response, operation, openContext);
  };
}
