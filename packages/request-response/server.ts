/**
 * A restaurant over HTTP: you ask, you wait, you get one answer.
 *
 * The waiting is what makes it hard. Each side must know how long it waits, what it may ask again, and what becomes of the
 * work when nobody waits any more. It ends on SIGTERM: readiness fails first, then nothing new is accepted, and what is in
 * flight is answered.
 */
import { createServer } from 'node:http';
import { repeat } from '@patterns/kit/background';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import { findPostgres } from '@patterns/services/postgres';
import express from 'express';
import type { PoolClient } from 'pg';
import { admitAtMost } from './admission.ts';
import { sendRepresentation } from './conditional.ts';
import { openDatabase, transaction } from './database.ts';
import { whenLeft } from './departure.ts';
import { once, sweepKeys } from './idempotency.ts';
import { Menu } from './menu.ts';
import { answersJson, oneHost, takesJson } from './negotiation.ts';
import { findOrder, placeOrder } from './orders.ts';
import { JSON_TYPE, LIMITS, MENU_PATH, ORDERS_PATH, parseOrder, readKey } from './protocol.ts';
import { createReadiness } from './readiness.ts';

export interface ServerOptions {
  databaseUrl: string;
  port?: number;
  log?: Log;
  /** How long the kitchen takes for an order. */
  kitchenMs?: number;
  /** Orders worked on at a time; beyond, 503. */
  maxConcurrent?: number;
  /** How old the menu may be. */
  refreshMs?: number;
  /** After which PostgreSQL ends a statement. 5 s: hardly a client waits longer. */
  statementMs?: number;
  /** For a request's headers, and for all of it: who sends more slowly than this holds a connection for nothing. Node's own
   *  are 60 and 300 s. They do not bound the answer. */
  headersMs?: number;
  requestMs?: number;
  /** How long `/readyz` says 503 before nothing new is accepted: two looks of a balancer. */
  noticeMs?: number;
  graceMs?: number;
}

/** Longer than the 60 s of most balancers: whoever reuses connections must be the one who closes them. The other way round a
 *  request meets a connection that is just being closed, and becomes a 502 now and then. */
const KEEP_ALIVE_MS = 75_000;

const SWEEP_MS = 3_600_000;

/** Opens the restaurant. Any number of servers may share one database. */
export async function startServer({
  databaseUrl,
  port,
  log = createLog('request-response'),
  kitchenMs = 0,
  maxConcurrent = 8,
  refreshMs = 1_000,
  statementMs = 5_000,
  headersMs = 5_000,
  requestMs = 10_000,
  noticeMs = 0,
  graceMs,
}: ServerOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const size = maxConcurrent + 2; // one more to cancel with, and one for the menu
  const pool = opened.adopt(await openDatabase(databaseUrl, { size, statementMs }), (pool) => pool.end());
  await sweepKeys(pool);
  const menu = await Menu.open(pool);
  const admit = admitAtMost(maxConcurrent);
  const readiness = createReadiness(noticeMs);

  const app = express().disable('x-powered-by').disable('etag');
  app.use(logRequests(log), oneHost);

  app.get(MENU_PATH, answersJson, (request, response) => sendRepresentation(request, response, menu.all));
  app.get(`${MENU_PATH}/:id`, answersJson, (request, response) => {
    const dish = menu.dish(request.params.id as string);
    if (!dish) throw new HttpProblem(404, { detail: 'not on the menu' });
    sendRepresentation(request, response, dish);
  });
  app.all([MENU_PATH, `${MENU_PATH}/:id`], methodNotAllowed('GET, HEAD'));

  // #region orders
  const jsonBody = express.json({ limit: LIMITS.bodyBytes });
  app.post(ORDERS_PATH, answersJson, takesJson, jsonBody, async (request, response) => {
    const key = readKey(request.get('Idempotency-Key'));
    const order = parseOrder(request.body);
    const answer = await admit(() =>
      transaction(pool, whenLeft(response), (client) =>
        once(client, { scope: `POST ${ORDERS_PATH}`, key, payload: order }, async () => {
          const placed = await placeOrder(client, order, kitchenMs);
          return { status: 201, location: `${ORDERS_PATH}/${placed.id}`, body: JSON.stringify(placed) };
        }),
      ),
    );
    response.status(answer.status).set({ Location: answer.location, 'Content-Type': JSON_TYPE });
    if (answer.isReplay) response.set('Idempotent-Replayed', 'true');
    response.end(answer.body);
  });
  // #endregion
  app.all(ORDERS_PATH, methodNotAllowed('POST'));

  app.get(`${ORDERS_PATH}/:id`, answersJson, async (request, response) => {
    const find = (client: PoolClient) => findOrder(client, request.params.id as string);
    const order = await admit(() => transaction(pool, whenLeft(response), find));
    response.set('Cache-Control', 'no-store').json(order);
  });
  app.all(`${ORDERS_PATH}/:id`, methodNotAllowed('GET, HEAD'));

  app.use(readiness.routes);
  app.use(notFound, problemHandler(log));

  const timeouts = {
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: 1_000, // how often Node looks; by default every 30 s
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  // #region stop
  // Released in reverse order: readiness first, then the drain, the background work, and the pool last.
  opened.use(repeat(refreshMs, () => menu.refresh(), log));
  opened.use(repeat(SWEEP_MS, () => sweepKeys(pool), log));
  const { url } = opened.use(await listen(createServer(timeouts, app), { port, graceMs }));
  opened.defer(() => readiness.withdraw());
  // #endregion
  const running = opened.move();
  return { url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const { url: databaseUrl } = stack.use(await findPostgres({ progress: console.log, signal }));
    const kitchenMs = envInteger('KITCHEN_MS', 0);
    const times = { kitchenMs, statementMs: kitchenMs + 5_000, noticeMs: envInteger('NOTICE_MS', 1_000) };
    const server = stack.use(await startServer({ databaseUrl, port: envPort(), ...times }));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: curl -i ${server.url}${MENU_PATH}`);
    console.log(`                 or: pnpm -C packages/request-response client ${server.url}`);
  });
}
