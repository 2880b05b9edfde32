/**
 * The blog as GraphQL: one path, and the question says what the answer looks like: tell the chef exactly.
 *
 * What that costs is on these lines. The caller writes the program that we run, so it is read, weighed and perhaps refused before
 * it runs (operation.ts, limits.ts, cost.ts, rate-limit.ts). It asks for many things at once, so what it asks of the database is
 * put together (loaders.ts), some of it may fail alone (masked-errors.ts), and the whole has a deadline (deadline.ts). And it comes
 * by POST, which no cache keeps, unless the question is one that we know (trusted-documents.ts). What HTTP says of it: over-http.ts.
 */
import { createServer } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { notFound, problemHandler } from '@patterns/kit/problem';
import express, { type Request } from 'express';
import { asHttpProblem } from './answer.ts';
import { announceOn, type CommentAdded } from './comment-feed.ts';
import { refuseCrossSite } from './csrf.ts';
import { type DatabaseOptions, openDatabase } from './database.ts';
import { cutOff, startDeadline } from './deadline.ts';
import { whenLeft } from './departure.ts';
import { addGraphqlMetrics } from './graphql-metrics.ts';
import { LIMITS, type Limits } from './limits.ts';
import { createLoaders } from './loaders.ts';
import { createMetrics } from './metrics.ts';
import { mutationResolvers } from './mutations.ts';
import { type Admit, createPreparation } from './operation.ts';
import { answerOverHttp, type ReadParams } from './over-http.ts';
import { streamOverSse, wantsEvents } from './over-sse.ts';
import { probes } from './probes.ts';
import { GRAPHQL_PATH, LIMITS as HTTP_LIMITS } from './protocol.ts';
import { CostBudget, RATE, type Rate } from './rate-limit.ts';
import { type OperationContext, queryResolvers } from './resolvers.ts';
import { buildBlogSchema } from './schema.ts';
import { type StreamOptions, Subscriptions } from './subscriptions.ts';
import { checkIds, paramsOf, type TrustedDocuments } from './trusted-documents.ts';
import { readViewer, type Tokens, type Viewer } from './viewer.ts';

export interface GraphqlOptions extends Omit<DatabaseOptions, 'url'>, StreamOptions {
  /** With the tables of `createBlog` (tables.ts). */
  databaseUrl: string;
  /** Carries new comments to their subscribers, at whichever server they are. */
  feed: Feed<CommentAdded>;
  tokens?: Tokens;
  trustedDocuments?: TrustedDocuments;
  /** Executes no other documents. */
  trustedOnly?: boolean;
  limits?: Partial<Limits>;
  rate?: Rate;
  /** Whether the schema may be asked for. In development. */
  introspection?: boolean;
  /** For an operation as a whole. 4 s: two statements that are as slow as they may be. */
  operationMs?: number;
  port?: number | undefined;
  log?: Log;
  graceMs?: number;
}

/** As in rest.ts. */
const TIMEOUTS = { headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 75_000 } as const;

/** Starts the GraphQL server. Any number of them may share one database and one feed. */
export async function startGraphql({
  databaseUrl,
  feed,
  tokens = new Map(),
  trustedDocuments = new Map(),
  trustedOnly = false,
  limits = {},
  rate = RATE,
  introspection = false,
  operationMs = 4_000,
  port,
  log = createLog('graphql'),
  graceMs,
  heartbeatMs,
  maxStreams,
  maxPending,
  ...pool
}: GraphqlOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  checkIds(trustedDocuments);
  // #region schema
  const schema = buildBlogSchema({ ...queryResolvers, ...mutationResolvers }, cutOff);
  const trusted = trustedDocuments.values();
  const prepare = createPreparation({ schema, limits: { ...LIMITS, ...limits }, introspection, trusted });
  // #endregion
  const budget = new CostBudget(rate);
  const announce = announceOn(feed, log);

  await using opened = new AsyncDisposableStack();
  const database = opened.use(openDatabase({ url: databaseUrl, ...pool }));
  const metrics = createMetrics(database);
  const subscriptions = opened.use(new Subscriptions(feed, log, { heartbeatMs, maxStreams, maxPending }));
  const counted = addGraphqlMetrics(metrics.registry, () => subscriptions.open);
  let listening: Listening | undefined;

  // #region operation
  /** What is known while one operation is executed, or one event of a subscription. Nothing of it outlives that. */
  function openContext(request: Request, viewer: Viewer, left: AbortSignal): OperationContext {
    const deadline = startDeadline(left, operationMs);
    const asking = { viewer, db: database.forRequest(deadline.signal) };
    const client = viewer ? `user ${viewer.userId}` : `address ${request.ip}`;
    return { ...asking, client, loaders: createLoaders(asking), deadline, announce };
  }

  /** Nothing has been executed before this, and what it refuses never is. */
  const admit: Admit = (params, context, asEvents) => {
    const operation = prepare(params, context, asEvents);
    if (!('args' in operation)) {
      const code = operation[0]?.extensions.code;
      counted.refused.inc({ code: typeof code === 'string' ? code : 'INVALID_DOCUMENT' });
      return operation;
    }
    budget.take(context.client, operation.cost);
    counted.cost.observe(operation.cost);
    return operation;
  };

  const read: ReadParams = (request) => paramsOf(request, trustedDocuments, trustedOnly);
  const answer = answerOverHttp(read, admit, log);
  const stream = streamOverSse(read, admit, subscriptions, log);
  // #endregion

  const app = express().disable('x-powered-by').disable('etag');
  app.use(logRequests(log), metrics.watch);
  const body = express.text({ type: 'application/json', limit: HTTP_LIMITS.bodyBytes });
  app.all(GRAPHQL_PATH, refuseCrossSite, body, async (request, response) => {
    const viewer = readViewer(request.get('Authorization'), tokens);
    const open = (left: AbortSignal) => openContext(request, viewer, left);
    if (wantsEvents(request)) await stream(request, response, open);
    else await answer(request, response, open(whenLeft(response)));
  });
  app.use(probes(metrics.registry, () => listening?.closing.aborted ?? false));
  app.use(notFound, asHttpProblem, problemHandler(log));

  listening = opened.use(await listen(createServer(TIMEOUTS, app), { port, graceMs }));
  listening.closing.addEventListener('abort', () => subscriptions[Symbol.dispose]());
  const running = opened.move();
  return { url: listening.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
