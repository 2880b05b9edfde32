/**
 * A bank over a pool: requests come by the hundred, connections to the database are few, and who finds none free waits his
 * turn, but not for ever.
 *
 * Here is only what goes over HTTP; lending is in database.ts, the pool's options in pool.ts. It ends on SIGTERM:
 * requests in flight finish first, then the pool is closed, the last of all.
 */
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express from 'express';
import { listUsers, openBank, transfer } from './bank.ts';
import { type Database, type DatabaseOptions, openDatabase } from './database.ts';
import { createMetrics } from './metrics.ts';
import * as protocol from './protocol.ts';
import { poolSize } from './sizing.ts';
import { inTransaction } from './transaction.ts';
import { sayUnavailable } from './unavailable.ts';

export interface ServerOptions extends Omit<DatabaseOptions, 'url' | 'observer'> {
  databaseUrl: string;
  port?: number;
  log?: Log;
  graceMs?: number;
}

export interface RunningBank extends AsyncDisposable {
  readonly url: string;
  readonly database: Database;
}

/** Starts a bank on a database that has its tables (`createTables`). */
export async function startServer({
  databaseUrl,
  port,
  log = createLog('connection-pooling'),
  graceMs,
  ...poolOptions
}: ServerOptions): Promise<RunningBank> {
  // What is opened first is closed last: the server drains before the pool ends.
  await using opened = new AsyncDisposableStack();
  const metrics = createMetrics(() => database, log);
  const database = opened.use(openDatabase({ ...poolOptions, url: databaseUrl, observer: metrics.observer }));

  const app = express().disable('x-powered-by');
  app.use(logRequests(log));

  // #region routes
  app.get(protocol.USERS, async (_request, response) => {
    response.json({ users: await database.withClient(listUsers) });
  });
  app.all(protocol.USERS, methodNotAllowed('GET, HEAD'));

  app.post(protocol.TRANSFERS, express.json({ limit: '1kb' }), async (request, response) => {
    if (!request.is('application/json')) throw new HttpProblem(415, { detail: 'send application/json' });
    const order = protocol.readTransfer(request.body);
    const receipt = await inTransaction(database, (client) => transfer(client, order));
    response.status(201).json(receipt);
  });
  app.all(protocol.TRANSFERS, methodNotAllowed('POST'));
  // #endregion

  // Ready is who has been connected once. A pool that is merely busy stays ready: taking every busy replica out of the
  // balancer would push its load onto the others, until none is left.
  let warm: Promise<void> | undefined;
  app.get('/readyz', async (_request, response) => {
    warm ??= database.warmUp().catch((error) => {
      warm = undefined;
      throw error;
    });
    await warm;
    if (listening.closing.aborted) throw new HttpProblem(503, { detail: 'stopping' });
    response.type('text').send('ready');
  });
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.use(notFound, sayUnavailable, problemHandler(log));

  const listening = opened.use(await listen(createServer(app), { port, graceMs }));
  const running = opened.move();
  return { url: listening.url, database, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const databaseUrl = await openBank(stack, signal);
    const size = poolSize({
      databaseCores: envInteger('DATABASE_CORES', availableParallelism(), { min: 1 }),
      replicas: envInteger('REPLICAS', 1, { min: 1 }),
    });
    const server = stack.use(
      await startServer({ databaseUrl, port: envPort(), size: envInteger('POOL_SIZE', size, { min: 1 }) }),
    );
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: curl ${server.url}${protocol.USERS}`);
    console.log(
      `                 or: curl -i ${server.url}${protocol.TRANSFERS} -H 'Content-Type: application/json' -d '{ "from": 1, "to": 2, "amount": 500 }'`,
    );
    console.log(`                 or: pnpm -C packages/connection-pooling client ${server.url}`);
  });
}
