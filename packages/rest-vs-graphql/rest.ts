/**
 * The blog as REST: a path for each kind of thing, and behind each an answer of fixed shape. That is the menu. What is on it can be
 * cached, and changed without losing what others have changed, by rules that are HTTP's own and that every client, proxy and tool
 * knows. But what has several paths takes several requests: the same blog with one path for everything is graphql.ts.
 *
 * It ends on SIGTERM, when what is in flight is answered.
 */
import { createServer } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express from 'express';
import { answerWith, asHttpProblem } from './answer.ts';
import { announceOn, type CommentAdded } from './comment-feed.ts';
import { type DatabaseOptions, openDatabase } from './database.ts';
import { createMetrics } from './metrics.ts';
import { answersJson, takes } from './negotiation.ts';
import { probes } from './probes.ts';
import { LIMITS, MERGE_PATCH, POSTS, USERS } from './protocol.ts';
import * as resources from './resources.ts';
import type { Tokens } from './viewer.ts';

export interface RestOptions extends Omit<DatabaseOptions, 'url'> {
  /** With the tables of `createBlog` (tables.ts). */
  databaseUrl: string;
  /** Where new comments are announced; by default nobody hears of them. */
  feed?: Feed<CommentAdded>;
  /** What clients may show to say who they are; by default nobody is anybody. */
  tokens?: Tokens;
  port?: number | undefined;
  log?: Log;
  graceMs?: number | undefined;
}

/** For a request's headers, and for all of it: who sends more slowly holds a connection for nothing. And a connection is kept for
 *  longer than most balancers keep it (60 s): else a request meets one that is just being closed. */
const TIMEOUTS = { headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 75_000 } as const;

/** Starts the REST server. Any number of them may share one database. */
export async function startRest({
  databaseUrl,
  feed,
  tokens = new Map(),
  port,
  log = createLog('rest'),
  graceMs,
  ...pool
}: RestOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  // What is opened first is closed last: requests in flight finish before the pool ends.
  await using opened = new AsyncDisposableStack();
  const database = opened.use(openDatabase({ url: databaseUrl, ...pool }));
  const metrics = createMetrics(database);
  let listening: Listening | undefined;

  const app = express().disable('x-powered-by').disable('etag');
  app.use(logRequests(log), metrics.watch);

  // #region menu
  const answer = answerWith(database, tokens, announceOn(feed, log));
  const json = [takes('application/json', 'Accept'), express.json({ limit: LIMITS.bodyBytes })];
  const patch = [takes(MERGE_PATCH, 'Accept-Patch'), express.json({ limit: LIMITS.bodyBytes, type: MERGE_PATCH })];
  app.use([USERS, POSTS], answersJson);

  app.route(`${USERS}/:id`).get(answer(resources.getUser)).all(methodNotAllowed('GET, HEAD'));
  app.route(`${USERS}/:id/posts`).get(answer(resources.getPostsOfUser)).all(methodNotAllowed('GET, HEAD'));
  app
    .route(POSTS)
    .get(answer(resources.getPosts))
    .post(json, answer(resources.postPost))
    .all(methodNotAllowed('GET, HEAD, POST'));
  app
    .route(`${POSTS}/:id`)
    .get(answer(resources.getPost))
    .patch(patch, answer(resources.patchPost))
    .all(methodNotAllowed('GET, HEAD, PATCH'));
  app
    .route(`${POSTS}/:id/comments`)
    .get(answer(resources.getCommentsOfPost))
    .post(json, answer(resources.postComment))
    .all(methodNotAllowed('GET, HEAD, POST'));
  app.route(`${POSTS}/:id/comments/:comment`).get(answer(resources.getComment)).all(methodNotAllowed('GET, HEAD'));
  // #endregion

  app.use(probes(metrics.registry, () => listening?.closing.aborted ?? false));
  app.use(notFound, asHttpProblem, problemHandler(log));

  listening = opened.use(await listen(createServer(TIMEOUTS, app), { port, graceMs }));
  const running = opened.move();
  return { url: listening.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
