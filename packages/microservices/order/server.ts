/**
 * The order service: takes orders, and sees each of them through to its end.
 *
 * It answers as soon as it can say something that holds. An order is written down, with its key, before anybody else is asked; the
 * first step of its saga (saga.ts) is taken while the customer waits, and if payment does not answer in time, the answer is
 * `awaiting-payment`, and the saga goes on in the background. It ends on SIGTERM: requests are answered, steps that were begun are
 * finished, and what is in the outbox stays there for the next one.
 */
import type { PoolOptions } from '@patterns/connection-pooling/pool';
import { repeat } from '@patterns/kit/background';
import { createLog } from '@patterns/kit/log';
import { sweepKeys } from '@patterns/request-response/idempotency';
import { Menu } from '@patterns/request-response/menu';
import { ensureSchema, openDatabase } from '../chassis/database.ts';
import { type DependencyOptions, openDependency } from '../chassis/dependency.ts';
import {
  envCallers,
  envDatabase,
  envIdentity,
  envMs,
  envRedis,
  envUrls,
  type Place,
  runService,
} from '../chassis/entry.ts';
import { type Identity, requireService } from '../chassis/identity.ts';
import { openBroker, subscribe } from '../chassis/messaging.ts';
import { startOutboxRelay, toBroker } from '../chassis/outbox.ts';
import { serve } from '../chassis/service.ts';
import { DELIVERIES_CHANNEL, KITCHEN_CHANNEL, readDeliveryEvent, readKitchenEvent } from '../contracts/events.ts';
import { type Heard, hear } from './hearing.ts';
import { countOrders } from './metrics.ts';
import { orderRoutes } from './routes.ts';
import type { Limits } from './saga.ts';
import { type SagaOptions, startSagaRunner } from './saga-runner.ts';
import { SCHEMA } from './tables.ts';

const NAME = 'order';

export interface OrderOptions
  extends Partial<Place & Limits>,
    Pick<SagaOptions, 'stepMs' | 'lookEveryMs' | 'concurrency'>,
    Pick<DependencyOptions, 'breaker'> {
  databaseUrl: string;
  redisUrl: string;
  /** Before every key. */
  prefix: string;
  paymentUrls: readonly string[];
  identity: Identity;
  /** Whose public keys (PEM) are known, by name: only the gateway may ask. */
  callers: Readonly<Record<string, string>>;
  /** Of the pool of connections: its size, and how long is waited. */
  pool?: Partial<PoolOptions>;
  /** For one request, and for one answer of payment in it. Payment takes milliseconds as a rule, and a customer waits. */
  maxMs?: number;
  paymentTimeoutMs?: number;
  graceMs?: number;
}

const SWEEP_MS = 3_600_000;
/** How old the menu may be. */
const MENU_MS = 1_000;

export async function startOrder({
  databaseUrl,
  redisUrl,
  prefix,
  paymentUrls,
  maxMs = 3_000,
  paymentTimeoutMs = 1_000,
  breaker = { failures: 5, openMs: 2_000 },
  identity,
  callers,
  payWithinMs = 60_000,
  acceptWithinMs = 60_000,
  log = createLog(NAME),
  port,
  graceMs,
  signal,
  pool,
  ...pace
}: OrderOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  // Closed in reverse: consumers, then requests, then the saga, then what all of them stand on.
  await using opened = new AsyncDisposableStack();
  // Requests, four steps of sagas, two consumers.
  const database = opened.use(openDatabase({ size: 8, ...pool, url: databaseUrl, log }));
  await ensureSchema(database, SCHEMA, { signal });
  const menu = await Menu.open(database);
  opened.use(repeat(MENU_MS, () => menu.refresh(), log));
  opened.use(repeat(SWEEP_MS, () => sweepKeys(database), log));
  const broker = opened.use(openBroker({ redisUrl, prefix, log }));
  const relay = opened.use(startOutboxRelay({ databaseUrl, queue: toBroker(broker), log }));

  // #region payment
  // The saga is what repeats: retries here, on top of that, would multiply.
  const limited = { timeoutMs: paymentTimeoutMs, maxConcurrent: 20, maxQueued: 20, breaker, retries: 0 };
  const payment = opened.use(openDependency({ name: 'payment', urls: paymentUrls, identity, log, ...limited }));
  const limits: Limits = { payWithinMs, acceptWithinMs };
  const saga = opened.use(startSagaRunner({ database, payment, limits, log, onMoved: relay.wake, ...pace }));
  // #endregion

  const service = opened.use(
    await serve({
      name: NAME,
      log,
      port,
      graceMs,
      ready: async () => (await database.query('select 1')).rowCount === 1,
      routes: (app, metrics) => {
        metrics.watch(payment);
        countOrders(metrics.registry, database);
        app.use(requireService({ audience: NAME, callers }));
        app.use(orderRoutes({ database, menu, saga, onPlaced: relay.wake, log, maxMs }));
      },
    }),
  );

  // #region join
  const join = (channel: string, read: (data: unknown) => Heard) =>
    subscribe(broker, {
      channel,
      group: NAME,
      read,
      log,
      signal,
      async handle({ data, span }) {
        const moved = await hear({ database, limits, log }, data, span.traceparent);
        if (!moved) return;
        relay.wake();
        saga.wake();
      },
    });
  opened.use(await join(KITCHEN_CHANNEL, readKitchenEvent));
  opened.use(await join(DELIVERIES_CHANNEL, readDeliveryEvent));
  // #endregion

  const running = opened.move();
  return { url: service.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await runService(NAME, (place) =>
    startOrder({
      ...place,
      ...envRedis(),
      databaseUrl: envDatabase(),
      paymentUrls: envUrls('PAYMENT_URL'),
      paymentTimeoutMs: envMs('PAYMENT_TIMEOUT_MS', 1_000),
      identity: envIdentity(NAME),
      callers: envCallers('gateway'),
      payWithinMs: envMs('PAY_WITHIN_MS', 60_000),
      acceptWithinMs: envMs('ACCEPT_WITHIN_MS', 60_000),
    }),
  );
}
