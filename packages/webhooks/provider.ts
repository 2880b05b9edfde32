/**
 * A payment provider: takes payments over HTTP, and tells the shops that have registered a URL what has become of them.
 *
 * Here is only its API. What is told is written down with the payment (payments.ts), and sent by dispatchers (dispatcher.ts),
 * which may be other processes: no request waits for a webhook. It ends on SIGTERM, when the requests in flight are answered.
 */
import { createServer } from 'node:http';
import { envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, notFound, problemHandler } from '@patterns/kit/problem';
import express, { type Request, type RequestHandler } from 'express';
import { openPool } from './database.ts';
import { type DestinationOptions, guardDestinations } from './destination.ts';
import { startDispatcher } from './dispatcher.ts';
import { envDispatcher } from './dispatcher-env.ts';
import { endpointRoutes } from './endpoint-routes.ts';
import { listEvents } from './events.ts';
import { createMetrics } from './metrics.ts';
import { createPayment, findPayment, refundPayment } from './payments.ts';
import * as protocol from './protocol.ts';
import { openProvider } from './provider-database.ts';

export interface ProviderOptions extends DestinationOptions {
  /** Its tables are there (`createProvider`). */
  databaseUrl: string;
  port?: number;
  log?: Log;
  graceMs?: number;
}

export interface RunningProvider extends AsyncDisposable {
  readonly url: string;
}

/** Starts the API. It sends nothing: that is what dispatchers are for. */
export async function startProvider({
  databaseUrl,
  port,
  log = createLog('webhooks-provider'),
  graceMs,
  ...destination
}: ProviderOptions): Promise<RunningProvider> {
  // What is opened first is closed last: requests in flight finish before the pool ends.
  await using opened = new AsyncDisposableStack();
  const pool = opened.adopt(openPool({ url: databaseUrl, size: 10 }), (each) => each.end());
  const destinations = guardDestinations(destination);
  const metrics = createMetrics(pool);
  const app = express().disable('x-powered-by');
  app.use(logRequests(log), takesJson, express.json({ limit: '4kb' }));

  // #region payments
  app.post(protocol.PAYMENTS, async (request, response) => {
    const key = protocol.readKey(request.get('Idempotency-Key'));
    const asked = { key, traceparent: traceparentOf(request) };
    const payment = await createPayment(pool, protocol.readPayment(request.body), asked);
    response.status(201).location(`${protocol.PAYMENTS}/${payment.payment}`).json(payment);
  });
  app.get(`${protocol.PAYMENTS}/:id`, async (request, response) => {
    response.json(await findPayment(pool, request.params.id));
  });
  app.post(`${protocol.PAYMENTS}/:id/refund`, async (request, response) => {
    response.json(await refundPayment(pool, request.params.id, { traceparent: traceparentOf(request) }));
  });
  // For reconciliation: webhooks can be lost for ever, what has happened cannot.
  app.get(protocol.EVENTS, async (request, response) => {
    const { after, limit } = request.query;
    response.json(await listEvents(pool, text(after, 'after') || undefined, readLimit(text(limit, 'limit'))));
  });
  // #endregion

  app.use(endpointRoutes(pool, destinations));
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.read());
  });
  app.use(notFound, problemHandler(log));

  const listening = opened.use(await listen(createServer(app), { port, graceMs }));
  const running = opened.move();
  return { url: listening.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** A body that is something else would otherwise look like none. */
const takesJson: RequestHandler = (request, _response, next) => {
  const isEmpty = request.headers['content-length'] === '0';
  if (!isEmpty && request.is('application/json') === false)
    throw new HttpProblem(415, { detail: 'send application/json' });
  next();
};

/** It is sent on as a header: what could be none would hold up the webhook. */
function traceparentOf(request: Request): string | undefined {
  return /^[\da-f-]{55,100}$/.exec(request.get('traceparent') ?? '')?.[0];
}

function text(value: unknown, field: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw badQuery(field, 'at most once');
}

function readLimit(value = '100'): number {
  const limit = Number(value);
  if (/^\d+$/.test(value) && limit >= 1 && limit <= 1_000) return limit;
  throw badQuery('limit', 'an integer from 1 to 1000');
}

const badQuery = (field: string, expected: string) =>
  new HttpProblem(400, { detail: 'the query is not as it should be', errors: [{ field, expected }] });

if (import.meta.main) {
  await main(async (stack, signal) => {
    const databaseUrl = await openProvider(stack, signal);
    // By hand the shop is on this machine, and nothing else is. In production nothing is allowed that is not public.
    process.env.WEBHOOK_ALLOW ??= '127.0.0.1';
    const options = envDispatcher();
    const provider = stack.use(await startProvider({ databaseUrl, port: envPort(), ...options }));
    if (process.env.DISPATCHER !== '0') stack.use(startDispatcher({ databaseUrl, ...options }));
    console.log(`listening on ${provider.url}`);
    console.log(`in another terminal: pnpm -C packages/webhooks consumer ${provider.url}`);
    console.log(
      `     then in a third: curl ${provider.url}${protocol.PAYMENTS} -H 'Content-Type: application/json' -d '{ "amount": 4200 }'`,
    );
    // The one that is given is known to whoever has given it, and may have a password in it.
    if (!process.env.DATABASE_URL) {
      console.log(
        `one more dispatcher: WEBHOOK_ALLOW=${process.env.WEBHOOK_ALLOW} DATABASE_URL=${databaseUrl} pnpm -C packages/webhooks dispatcher`,
      );
    }
  });
}
