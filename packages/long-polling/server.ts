/**
 * A notification inbox, and reports that take a while: an HTTP server that does not answer until it knows.
 *
 * A request that has no answer yet is parked: it costs a socket, a timer and two places in lists, and no work. What is
 * appended to the feed, by whatever process, wakes it at once. It ends when there is news, when its hold is over, when its
 * client leaves, or when the server stops; and then the client asks again, from where it is.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { answerError } from '@patterns/kit/problem';
import { problemOf, sendAnswer, sendNothing } from './answers.ts';
import { createMetrics } from './metrics.ts';
import { ANYTHING } from './parked.ts';
import { holdFor, Parking } from './parking.ts';
import { type Notice, type Question, REPORTS_PATH, readQuestion, UPDATES_PATH } from './protocol.ts';
import { Batches, Inbox, PendingReport, type Waiting } from './questions.ts';
import { createRoutes } from './routes.ts';
import { openInbox } from './sender.ts';
import { Tail } from './tail.ts';

export interface ServerOptions {
  feed: Feed<Notice>;
  port?: number;
  log?: Log;
  /** The longest hold. 30 s: safe with every proxy on the way [RFC 6202 §5.5]. */
  maxHoldMs?: number;
  /** Parked requests in all; beyond, 503. Each costs some 10 KB and a file descriptor. */
  maxParked?: number;
  /** Parked requests of one client: its name, or its address, behind which an office may be. */
  maxPerClient?: number;
  /** Updates in one answer: some 20 KB. */
  batchLimit?: number;
  /** A connection on which nothing moves for so long is closed: its peer has gone, or does not read. Longer than any hold. */
  silenceMs?: number;
  graceMs?: number;
}

/** Starts a server on `feed`. Any number of servers may share one feed. */
export async function startServer({
  feed,
  port,
  log = createLog('long-polling'),
  maxHoldMs = 30_000,
  maxParked = 10_000,
  maxPerClient = 50,
  batchLimit = 100,
  silenceMs = 60_000,
  graceMs,
}: ServerOptions): Promise<Listening> {
  const metrics = createMetrics(() => parking.size);
  const parking = new Parking({ maxParked, maxPerClient, metrics });
  const stopping = new AbortController();
  const tail = await Tail.open({
    feed,
    log,
    signal: stopping.signal,
    onNews: (fresh, since) => parking.wake(fresh, since),
    onGap: () => parking.empty('timeout'),
  });
  const batches = new Batches(batchLimit);

  // #region wait
  /** Answers at once if it can. If not, it parks the request, and whatever happens first answers it. */
  function answerOrPark(response: ServerResponse, waiting: Waiting, { client, waitMs }: Question): void {
    const known = waiting.known();
    const answer = known && waiting.answer(known);
    if (answer) {
      sendAnswer(response, answer);
      return;
    }

    let isLooking = known === undefined;
    let hasNews = false;
    const parked = parking.park(response, {
      client: client ?? response.req.socket.remoteAddress ?? '',
      isNamed: client !== undefined,
      topic: waiting.topic,
      tellNothing: () => sendNothing(response, waiting.cursor),
      wake(fresh) {
        hasNews = true;
        const answer = isLooking ? undefined : waiting.answer(fresh);
        if (answer && parked.leave('delivered')) sendAnswer(response, answer);
      },
    });
    const holdMs = listening.closing.aborted ? 0 : holdFor(waitMs, maxHoldMs);
    if (isLooking) void look();
    else parked.hold(holdMs);

    /** Looks in the log, while it is parked already: what comes meanwhile makes it look again. */
    async function look(): Promise<void> {
      try {
        do {
          hasNews = false;
          const answer = waiting.answer(await waiting.look());
          if (answer) return void (parked.leave('delivered') && sendAnswer(response, answer));
        } while (hasNews);
        isLooking = false;
        parked.hold(holdMs);
      } catch (error) {
        if (parked.leave('failed')) answerError(log, response, problemOf(error));
      }
    }
  }
  // #endregion

  /** The question that a request asks, if it is one of those that may wait. */
  function waitingOf({ method, url = '' }: IncomingMessage): ((question: Question) => Waiting) | undefined {
    const path = url.split('?', 1)[0]!;
    if (method !== 'GET') return undefined;
    if (path === UPDATES_PATH) return ({ after }) => new Inbox(feed, tail, batches, after ?? tail.head);
    const id = path.startsWith(`${REPORTS_PATH}/`) ? path.slice(REPORTS_PATH.length + 1) : ANYTHING;
    return id === ANYTHING ? undefined : () => new PendingReport(feed, tail, id);
  }

  const app = createRoutes({ feed, metrics, log });
  const logRequest = logRequests(log);
  // A balancer closes an idle connection after 60 s as a rule: it must be the one who does (request-response has more).
  const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
    logRequest(request, response, () => {
      // Past Express: what it keeps of a request would live as long as the waiting, and waking is all that is done here.
      const waiting = waitingOf(request);
      if (!waiting) return app(request, response);
      try {
        const question = readQuestion(request.url!);
        answerOrPark(response, waiting(question), question);
      } catch (error) {
        answerError(log, response, error);
      }
    });
  });
  server.timeout = silenceMs;
  const listening = await listen(server, { port, graceMs });
  listening.closing.addEventListener('abort', () => {
    stopping.abort();
    parking.empty('shutdown'); // with `Connection: close`, which `listen` has set
  });
  return listening;
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const feed = openInbox(stack, signal);
    const maxHoldMs = envInteger('MAX_HOLD_MS', 30_000, { min: 1 });
    const server = stack.use(await startServer({ feed, port: envPort(), maxHoldMs }));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: curl -i '${server.url}${UPDATES_PATH}?wait=20'`);
    console.log(`                 or: pnpm -C packages/long-polling client ${server.url}`);
  });
}
