/**
 * The payment service: charges an order at the provider, once, and gives it back, once. It listens on a Unix socket, where nobody
 * but the sidecar beside it (sidecar.ts) can ask it: who may ask is checked there, before it is asked.
 *
 * An answer does not wait for certainty: when the provider is slow or away it is 202 `pending`, and what became of the charge is
 * learned from whichever comes first: the next request for the same order, the provider's webhook, or the reconciliation.
 * Notifications are none of its business: they leave by the outbox, and a queue that is away holds up no payment.
 */
import { repeat } from '@patterns/kit/background';
import { createLog, type Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { openKeyRing } from '@patterns/webhooks/registration';
import express, { type Request, type Response } from 'express';
import { ensureSchema, openDatabase } from '../chassis/database.ts';
import { deadlineOf, newDeadline, shrink } from '../chassis/deadline.ts';
import { envDatabase, envMs, envRedis, envUrls, runService } from '../chassis/entry.ts';
import { serve } from '../chassis/service.ts';
import { spanOf } from '../chassis/spans.ts';
import { CHARGES_PATH, type Charge, readChargeRequest } from '../contracts/payment.ts';
import { findCharge, type KnownCharge, listUnsettled, SCHEMA } from './charges.ts';
import { chargeWith } from './charging.ts';
import { type AskedBy, openProvider } from './provider.ts';
import { startTelling } from './telling.ts';
import { joinProvider, takeWebhooks } from './webhook.ts';

export interface PaymentOptions {
  databaseUrl: string;
  redisUrl: string;
  redisPrefix?: string;
  providerUrl: string;
  /** Where the provider reaches our webhooks: the sidecar. Without it we are told nothing, and only ask. */
  publicUrl?: string | undefined;
  /** Of the Unix socket to listen on. Without it a port of loopback, where anybody on this machine may ask: for tests. */
  socketPath?: string | undefined;
  port?: number | undefined;
  /** For one answer of the provider. */
  providerTimeoutMs?: number;
  /** How long a charge may be pending before the provider is asked again: longer than one request takes. */
  reconcileAfterMs?: number;
  log?: Log;
  graceMs?: number | undefined;
  /** Ends a start that waits for the database. */
  signal?: AbortSignal;
}

/** Whoever asks waits no longer than this for us, and we for the provider a little less. */
const MAX_MS = 5_000;
/** For writing down what the provider said, and for the answer. */
const RESERVE_MS = 150;
const RECONCILE_EVERY_MS = 1_000;

export async function startPayment({
  databaseUrl,
  redisUrl,
  redisPrefix = '',
  providerUrl,
  publicUrl,
  reconcileAfterMs = MAX_MS,
  log = createLog('payment'),
  signal,
  ...options
}: PaymentOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const db = opened.use(openDatabase({ url: databaseUrl, log }));
  await ensureSchema(db, SCHEMA, { signal });
  const telling = opened.use(startTelling({ databaseUrl, redisUrl, redisPrefix, log }));
  const provider = opened.use(openProvider({ url: providerUrl, timeoutMs: options.providerTimeoutMs, log }));
  const charging = chargeWith(db, provider, telling.wake);
  const keys = opened.use(await openKeyRing(db, log));
  if (publicUrl) opened.use(joinProvider({ db, keys, providerUrl, publicUrl }));

  const reconcile = async () => {
    for (const charge of await listUnsettled(db, reconcileAfterMs)) {
      await charging.pursue(charge, { deadline: newDeadline(MAX_MS), parent: charge.traceparent });
    }
  };
  opened.use(repeat(RECONCILE_EVERY_MS, reconcile, log));

  // #region routes
  const service = await serve({
    name: 'payment',
    log,
    ...options,
    ready: () => db.query('select 1').then(() => true),
    routes: (app, metrics) => {
      metrics.watch(provider.dependency);
      takeWebhooks(app, { keys, charging, log });
      app.use(express.json({ limit: '4kb' }));
      app.post(CHARGES_PATH, async (request, response) => {
        answer(response, await charging.charge(readChargeRequest(request.body), askedBy(request, response)));
      });
      app.get(`${CHARGES_PATH}/:order`, async (request, response) => {
        answer(response, await findCharge(db, request.params.order));
      });
      app.post(`${CHARGES_PATH}/:order/refund`, async (request, response) => {
        const asked = { ...request.body, order: request.params.order };
        answer(response, await charging.refund(readChargeRequest(asked), askedBy(request, response)));
      });
    },
  });
  // #endregion
  opened.use(service);
  const running = opened.move();
  return { url: service.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

const askedBy = (request: Request, response: Response): AskedBy => ({
  deadline: shrink(deadlineOf(request, { maxMs: MAX_MS }), RESERVE_MS),
  parent: spanOf(response).traceparent,
});

/** 202: ask again. */
function answer(response: Response, charge: KnownCharge | undefined): void {
  if (!charge) throw new HttpProblem(404, { detail: 'there is no charge for this order' });
  const { payment: _, traceparent: __, ...shown } = charge;
  const isSettled = charge.status !== 'pending' && charge.status !== 'refunding';
  response.status(isSettled ? 200 : 202).json(shown satisfies Charge);
}

if (import.meta.main) {
  await runService('payment', ({ log, port, signal }) => {
    const { redisUrl, prefix: redisPrefix } = envRedis();
    return startPayment({
      databaseUrl: envDatabase(),
      redisUrl,
      redisPrefix,
      providerUrl: envUrls('PROVIDER_URL')[0]!,
      publicUrl: process.env.PUBLIC_URL,
      socketPath: process.env.SOCKET_PATH,
      port,
      providerTimeoutMs: envMs('PROVIDER_TIMEOUT_MS', 2_000),
      reconcileAfterMs: envMs('RECONCILE_AFTER_MS', MAX_MS),
      log,
      signal,
    });
  });
}
