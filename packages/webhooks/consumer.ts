/**
 * The shop: it takes webhooks from the payment provider. Anybody on the internet can send it something that looks like one; the
 * provider may send the same one again, late, or in another order; and the shop may be gone when it comes.
 *
 * So a request is verified before it is understood, written down before it is answered, and worked on after that (inbox.ts);
 * what was never delivered is fetched (reconcile.ts). It ends on SIGTERM, when the requests in flight are answered and the
 * events that were begun are finished.
 */
import { createServer } from 'node:http';
import { repeat } from '@patterns/kit/background';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem, methodNotAllowed, notFound, problemHandler } from '@patterns/kit/problem';
import express, { type RequestHandler } from 'express';
import { openPool } from './database.ts';
import { EFFECT_STATEMENT_MS, enqueue, startWorker, type WorkerOptions } from './inbox.ts';
import { joinProvider, useSecret } from './joining.ts';
import { bookEvent, findOrder } from './orders.ts';
import { ID_HEADER, readEvent, SIMPLE_SIGNATURE_HEADER, WEBHOOKS } from './protocol.ts';
import { openKeyRing } from './registration.ts';
import { openShop } from './shop-database.ts';
import { type Secret, type Verdict, verify, verifyBody } from './signature.ts';
import { inboxRoutes, sweep } from './upkeep.ts';

export interface ConsumerOptions extends Pick<WorkerOptions, 'effect' | 'backoffMs' | 'maxAttempts'> {
  /** Of a database that has the shop's tables (`createShop`). */
  databaseUrl: string;
  /** Those that are valid now: several, while one takes the place of another. Asked anew for each request. */
  secrets: () => readonly Secret[];
  port?: number;
  log?: Log;
  /** `simple` is X-Signature, for providers that have nothing better: it does not say when a request was made. */
  scheme?: 'standard' | 'simple';
  /** In which an event is written down, or refused and sent again. 5 s: the provider waits 15, and others are less patient. */
  deadlineMs?: number;
  /** 64 KiB: events are small. Of what is larger, no more is read. */
  maxBodyBytes?: number;
  /** Events worked on at a time; 0 leaves them to other processes (`node inbox.ts`). */
  workers?: number;
  graceMs?: number;
}

const RETRY_AFTER_SECONDS = '5';

/** For all of a request: who sends a few bytes a minute holds a connection for nothing. */
const REQUEST_MS = 10_000;
const SWEEP_MS = 3_600_000;

export async function startConsumer({
  databaseUrl,
  secrets,
  port,
  log = createLog('shop'),
  scheme = 'standard',
  deadlineMs = 5_000,
  maxBodyBytes = 64 * 1_024,
  workers = 4,
  graceMs,
  ...work
}: ConsumerOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  // Half of it for a free connection, half for the row (less what openPool adds to it).
  const waits = { acquireMs: deadlineMs / 2, statementMs: deadlineMs / 2 - 500 };
  const pool = opened.adopt(openPool({ url: databaseUrl, size: 10, ...waits }), (each) => each.end());
  // Connections of their own: however much there is to do, the next request finds one.
  const workPool = opened.adopt(
    openPool({ url: databaseUrl, size: Math.max(1, workers), statementMs: EFFECT_STATEMENT_MS }),
    (each) => each.end(),
  );
  const worker = opened.use(startWorker({ ...work, pool: workPool, log, concurrency: workers }));

  const app = express().disable('x-powered-by').disable('etag');
  app.use(logRequests(log));

  // #region receive
  // As bytes, and as they come: what is signed is neither the JSON nor what is left of it after unpacking.
  const rawBody = express.raw({ type: () => true, limit: maxBodyBytes, inflate: false });
  app.post(WEBHOOKS, takesJson, rawBody, async (request, response) => {
    const webhookId = request.get(ID_HEADER)?.slice(0, 200);
    const body: Buffer = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const verdict = judge(request.headers, body);
    if (verdict !== 'verified') {
      log.warn('webhook', { webhookId, outcome: verdict });
      // Not a word of why: whoever is entitled to know has the log of the other side. The header is owed [RFC 9110 §15.5.2].
      throw new HttpProblem(401, { headers: { 'WWW-Authenticate': 'Webhook-Signature' } });
    }
    const event = readEvent(parse(body));
    if (event && webhookId !== undefined && webhookId !== event.id) throw new HttpProblem(400);
    const outcome = event ? await accept(event) : 'unknown type';
    log.info('webhook', { webhookId, outcome });
    response.end(); // 200, to the second one as to the first: an error would only make it come a third time
  });

  async function accept(event: Parameters<typeof enqueue>[1]): Promise<'accepted' | 'duplicate'> {
    const isNew = await enqueue(pool, event, 'delivered').catch((cause) => {
      log.warn('webhook', { webhookId: event.id, outcome: 'not written down', error: cause });
      throw new HttpProblem(503, { cause, headers: { 'Retry-After': RETRY_AFTER_SECONDS } });
    });
    worker.wake();
    return isNew ? 'accepted' : 'duplicate';
  }
  // #endregion

  const judge = (headers: Parameters<typeof verify>[1], body: Buffer): Verdict => {
    if (scheme === 'standard') return verify(secrets(), headers, body);
    return verifyBody(secrets(), headers[SIMPLE_SIGNATURE_HEADER], body) ? 'verified' : 'no-match';
  };
  app.all(WEBHOOKS, methodNotAllowed('POST'));

  app.get('/orders/:payment', async (request, response) => {
    const order = await findOrder(pool, request.params.payment as string);
    if (!order) throw new HttpProblem(404, { detail: 'nothing has been heard of this payment' });
    response.set('Cache-Control', 'no-store').json(order);
  });
  app.use(inboxRoutes(pool, () => worker.wake()));
  app.use(notFound, problemHandler(log));

  opened.use(repeat(SWEEP_MS, () => sweep(pool), log));
  const { url } = opened.use(await listen(createServer({ requestTimeout: REQUEST_MS }, app), { port, graceMs }));
  const running = opened.move();
  return { url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

const takesJson: RequestHandler = (request, _response, next) => {
  if (!request.is('application/json')) throw new HttpProblem(415);
  next();
};

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw new HttpProblem(400, { cause });
  }
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const log = createLog('shop');
    const [provider] = process.argv.slice(2);
    const { databaseUrl, isThrownAway } = await openShop(stack, signal);
    const pool = stack.adopt(openPool({ url: databaseUrl, size: 2, statementMs: 5_000 }), (each) => each.end());
    if (!provider) await useSecret(pool, process.env.WEBHOOK_SECRET);
    const keys = stack.use(await openKeyRing(pool, log));
    const bookingMs = envInteger('BOOKING_MS', 0);
    const effect: ConsumerOptions['effect'] = (client, event) => bookEvent(client, event, bookingMs);
    const workers = envInteger('WORKERS', 4);
    const scheme = process.env.SIGNATURE === 'simple' ? 'simple' : 'standard';
    const consumer = stack.use(
      await startConsumer({ databaseUrl, secrets: keys.current, port: envPort(), log, scheme, workers, effect }),
    );
    console.log(`listening on ${consumer.url}`);
    if (provider) await joinProvider(stack, provider, { pool, keys, log, url: consumer.url, isThrownAway });
  });
}
