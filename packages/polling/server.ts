/**
 * The status of orders, for clients that ask: "Any news?"
 *
 * The server keeps nothing of a client between two polls, not even a connection: the client brings its cursor along. Any
 * server on the same feed can answer, a restart is not noticed, and every HTTP tool works. What it costs is that most of the
 * answers are "no". A poll ends at once; there is nothing to end at shutdown but what is in flight.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { Feed, FeedEvent } from '@patterns/feed/feed';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express, { type Request } from 'express';
import { Board } from './board.ts';
import { sendRepresentation } from './conditional.ts';
import { createDemand } from './demand.ts';
import { asProblem } from './feed-problem.ts';
import { createMetrics } from './metrics.ts';
import * as protocol from './protocol.ts';
import { limitPolls } from './rate-limit.ts';
import { openShop } from './shop.ts';

export interface ServerOptions {
  feed: Feed<protocol.Change>;
  port?: number;
  log?: Log;
  /** What clients are asked to wait, in seconds; more when there are many of them (demand.ts). 0: as they like. */
  intervalS?: number;
  /** Polls per second that one process wants. 500: an eighth of a core, so that there is room for a bad day. */
  targetPerSecond?: number;
  /** Polls per minute of one address; beyond, 429. 0: no limit. 600: a score of dashboards behind one NAT. */
  maxPerMinute?: number;
  graceMs?: number;
}

/** Longer than any interval that we ask for, so that it is the client who closes a connection that is idle for too long: the
 *  other way round a poll meets a connection that is just being closed, and fails now and then. */
const KEEP_ALIVE_MS = 75_000;

/** Starts the order desk on `feed`. Any number of servers may share one feed. */
export async function startServer({
  feed,
  port,
  log = createLog('polling'),
  intervalS = 2,
  targetPerSecond = 500,
  maxPerMinute = 600,
  graceMs,
}: ServerOptions): Promise<Listening> {
  const stopping = new AbortController();
  const board = await Board.open(feed, stopping.signal, log);
  const metrics = createMetrics();
  const countPoll = createDemand({ intervalS, targetPerSecond });
  const demand = () => {
    const seconds = countPoll();
    metrics.interval.set(seconds);
    return seconds;
  };

  // #region updates
  async function answerUpdates(request: Request, response: ServerResponse): Promise<void> {
    const { after = board.head ?? (await feed.position()), limit } = protocol.readQuery(request.query);
    const intervalS = demand();
    // One more than was asked for: that is how we know whether there is more.
    const found = board.since(after, limit + 1) ?? (await feed.read({ after, limit: limit + 1 }));
    const events = found.slice(0, limit);
    const hasMore = found.length > limit;
    const cursor = events.at(-1)?.id ?? after;
    sendRepresentation(request, response, {
      // Where the answer ends says what is in it. A client that is there, and knows the interval, has nothing to hear.
      etag: `"${cursor}${hasMore ? '+' : ''}.${intervalS}"`,
      intervalS,
      body: () => protocol.encodeUpdates(events.map(encodeOnce), cursor, hasMore),
    });
    const isNotModified = response.statusCode === 304;
    metrics.polls.inc({ result: isNotModified ? 'not-modified' : events.length > 0 ? 'news' : 'empty' });
  }
  // #endregion

  // #region order
  function answerOrder(request: Request, response: ServerResponse): void {
    const order = board.order(request.params.id as string);
    // Without `no-store` a cache may keep a 404, and hide the order when it comes [RFC 9110 §15.5.5].
    if (!order) throw new HttpProblem(404, { detail: 'no such order', headers: { 'Cache-Control': 'no-store' } });
    const intervalS = protocol.isOver(order) ? 0 : demand();
    const etag = `"${order.version}.${intervalS}"`;
    sendRepresentation(request, response, { etag, intervalS, body: () => JSON.stringify(order) });
    metrics.polls.inc({ result: response.statusCode === 304 ? 'not-modified' : 'news' });
  }
  // #endregion

  const app = express().disable('x-powered-by').disable('etag');
  app.use(logRequests(log));
  const routes = [protocol.UPDATES_PATH, `${protocol.ORDERS_PATH}/:id`] as const;
  const limited = limitPolls(maxPerMinute, () => metrics.polls.inc({ result: 'refused' }));
  app.use([...routes], metrics.countInFlight, limited);
  app.get(routes[0], (request, response) =>
    answerUpdates(request, response).catch((error) => {
      const problem = asProblem(error);
      if (problem instanceof HttpProblem && problem.status === 410) metrics.polls.inc({ result: 'expired' });
      throw problem;
    }),
  );
  app.get(routes[1], answerOrder);
  app.all([...routes], methodNotAllowed('GET, HEAD'));
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.use(notFound, problemHandler(log));

  const listening = await listen(createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, app), { port, graceMs });
  listening.closing.addEventListener('abort', () => stopping.abort());
  return listening;
}

const encoded = new WeakMap<FeedEvent<protocol.Change>, string>();

/** An event is encoded once, however many clients come for it: the board hands out the same object each time. */
function encodeOnce(event: FeedEvent<protocol.Change>): string {
  const text = encoded.get(event) ?? protocol.encodeEvent(event);
  encoded.set(event, text);
  return text;
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const server = stack.use(
      await startServer({
        feed: openShop(stack, signal),
        port: envPort(),
        intervalS: envInteger('INTERVAL_S', 2, { max: 60 }),
        maxPerMinute: envInteger('MAX_PER_MINUTE', 600),
      }),
    );
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: curl -i ${server.url}${protocol.UPDATES_PATH}?after=0-0`);
    console.log(`                 or: pnpm -C packages/polling client ${server.url}`);
  });
}
