/**
 * The front: takes payments and submissions, and answers before the work is done. Workers (worker.ts) do it, when they can.
 *
 * It can be as fast as a row is written, however slow the work is, and works while no worker does; what it must not do is
 * promise more than can be done. So each line has an end, and whoever comes when it is full is told to come again. It ends on
 * SIGTERM: nothing new is accepted, what is in flight is answered, and what is in the outbox stays there for the next relay.
 */
import { createServer } from 'node:http';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { notFound, problemHandler } from '@patterns/kit/problem';
import express from 'express';
import { asAssignments, chosenBroker, findBackends, openQueues } from './backends.ts';
import { openDatabase } from './database.ts';
import { deadLettersRouter } from './dead-letters.ts';
import { createFrontMetrics } from './metrics.ts';
import { outbox, startRelay } from './outbox.ts';
import { paymentsRouter } from './payments.ts';
import type { PostgresQueue } from './postgres-queue.ts';
import * as protocol from './protocol.ts';
import type { Queue } from './queue.ts';
import { sayFull } from './refusals.ts';
import { submissionsRouter } from './submissions.ts';

export interface ServerOptions {
  databaseUrl: string;
  notifications: Queue;
  submissions: Queue;
  /** Payments whose customers are not told yet may wait in the outbox, while the queue is full or away. */
  outboxCapacity?: number;
  port?: number;
  log?: Log;
  graceMs?: number;
}

/** Opens the front. Any number of servers may share one database and one broker. */
export async function startServer({
  databaseUrl,
  notifications,
  submissions,
  outboxCapacity,
  port,
  log = createLog('queues'),
  graceMs,
}: ServerOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const pool = opened.adopt(await openDatabase(databaseUrl), (pool) => pool.end());
  const queues = { [protocol.NOTIFICATIONS]: notifications, [protocol.SUBMISSIONS]: submissions };
  const metrics = createFrontMetrics(pool, queues);

  const stopping = new AbortController();

  // #region front
  const app = express().disable('x-powered-by').disable('etag');
  app.use(logRequests(log));
  if (isInDatabase(notifications)) {
    // The queue itself takes part in the transaction.
    app.use(paymentsRouter({ pool, enqueueIn: (client, jobs) => notifications.enqueueIn(client, jobs) }));
  } else {
    const onProblem = ({ message }: Error) => log.warn('the outbox waits', { reason: message });
    const relay = opened.use(startRelay({ pool, queue: notifications, onProblem }));
    app.use(paymentsRouter({ pool, enqueueIn: outbox(outboxCapacity), onTaken: relay.wake }));
  }
  app.use(submissionsRouter({ pool, queue: submissions, signal: stopping.signal }));
  app.use(deadLettersRouter(queues));
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.text());
  });
  app.use(
    notFound,
    sayFull(() => metrics.refused.inc()),
    problemHandler(log),
  );
  // #endregion

  const { url, closing } = opened.use(await listen(createServer(app), { port, graceMs }));
  closing.addEventListener('abort', () => stopping.abort()); // open streams end, and do not hold up the drain
  const running = opened.move();
  return { url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

const isInDatabase = (queue: Queue): queue is PostgresQueue => 'enqueueIn' in queue;

if (import.meta.main) {
  await main(async (stack, signal) => {
    const broker = chosenBroker();
    const found = await findBackends(broker, stack, { signal, say: (name, about) => console.log(`${name}: ${about}`) });
    const env = { ...process.env, ...found };
    const queues = await openQueues(broker, stack, env);
    const outboxCapacity = envInteger('OUTBOX_CAPACITY', 10_000, { min: 1 });
    const server = stack.use(
      await startServer({ databaseUrl: env.DATABASE_URL!, ...queues, outboxCapacity, port: envPort() }),
    );
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: ${asAssignments(found)}pnpm -C packages/queues worker --broker ${broker}`);
    console.log(`          in a third: pnpm -C packages/queues client ${server.url}`);
    console.log(
      `                  or: curl -i ${server.url}${protocol.PAYMENTS_PATH} -H 'Content-Type: application/json' -d '{"phone":"+4930123456","amount":1250}'`,
    );
  });
}
