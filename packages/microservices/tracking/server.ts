/**
 * The tracking service: sends couriers, and lets customers follow their orders. It asks nobody: what it knows it has heard on the
 * channels of the order service and of the kitchen, and what becomes of a delivery it says on a channel of its own.
 *
 *     orders, kitchen ──► deliveries (its database) ──► outbox ──► deliveries      to the order service
 *                                                         └──────► feed ──► SSE    to the customers, through the gateway
 */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { createLog, type Log } from '@patterns/kit/log';
import { ensureSchema, openDatabase } from '../chassis/database.ts';
import { envCallers, envDatabase, envMs, envRedis, runService } from '../chassis/entry.ts';
import { requireService } from '../chassis/identity.ts';
import { openBroker, type Received, subscribe } from '../chassis/messaging.ts';
import { OUTBOX_SCHEMA, startOutboxRelay, toBroker } from '../chassis/outbox.ts';
import { serve } from '../chassis/service.ts';
import { KITCHEN_CHANNEL, ORDERS_CHANNEL, readKitchenEvent, readOrderEvent } from '../contracts/events.ts';
import { sendCouriers } from './courier.ts';
import { type Dispatch, type Heard, hearKitchen, hearOrder, SCHEMA } from './deliveries.ts';
import { openStreams, type StreamsOptions, type Tracked } from './stream.ts';
import { report, tell, toFeed } from './telling.ts';

const NAME = 'tracking';
/** Two channels, the couriers, and a look for a stream now and then: none of them holds a connection for long. */
const POOL_SIZE = 4;

export interface TrackingOptions extends Partial<Pick<StreamsOptions, 'heartbeatMs' | 'retryMs' | 'maxPending'>> {
  databaseUrl: string;
  redisUrl: string;
  /** Before every key. */
  prefix: string;
  /** Whose public keys (PEM) are known, by name: only the gateway may ask. */
  callers: Readonly<Record<string, string>>;
  port?: number;
  /** How long a courier takes for a tenth of the way. */
  stepMs?: number;
  routeMetres?: number;
  /** Events that the feed keeps, of all orders together: some twenty each. */
  retain?: number;
  log?: Log;
  graceMs?: number;
  /** Ends waiting for a database or a broker that is not there yet. */
  signal?: AbortSignal;
}

/** Starts an instance; any number may share the database and the couriers. */
export async function startTracking({
  databaseUrl,
  redisUrl,
  prefix,
  callers,
  port,
  stepMs = 1_000,
  routeMetres = 1_000,
  retain = 50_000,
  log = createLog(NAME),
  graceMs,
  signal,
  ...streaming
}: TrackingOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  // What is opened first is closed last: the consumers, then the streams, then what both stand on.
  await using opened = new AsyncDisposableStack();
  const database = opened.use(openDatabase({ url: databaseUrl, size: POOL_SIZE, log }));
  await ensureSchema(database, OUTBOX_SCHEMA + SCHEMA, { signal });
  const onError = (error: Error) => log.warn('feed', { reason: error.message });
  const feed = opened.use(new RedisFeed<Tracked>({ url: redisUrl, key: `${prefix}tracking`, retain, onError }));
  const broker = opened.use(openBroker({ redisUrl, prefix, log }));
  const relay = opened.use(startOutboxRelay({ databaseUrl, queue: toFeed(feed, toBroker(broker), database), log }));
  const dispatch: Dispatch = { tell, report, routeMetres, stepMs };
  opened.use(sendCouriers(database, dispatch, log, relay.wake));

  const streams = openStreams({ feed, database, routeMetres, log, ...streaming });
  const listening = opened.use(
    await serve({
      name: NAME,
      log,
      port,
      graceMs,
      ready: async () => (await database.query('select 1')).rowCount === 1,
      routes(app) {
        app.get('/orders/:id/events', requireService({ audience: NAME, callers }), streams.openStream);
      },
    }),
  );
  listening.closing.addEventListener('abort', () => streams.end());

  // #region subscribe
  const join = <T>(channel: string, read: (data: unknown) => T, hear: Hear<T>) =>
    subscribe(broker, {
      channel,
      group: NAME,
      read,
      log,
      signal,
      async handle({ data: event, span }: Received<T>) {
        const heard = { event, traceparent: span.traceparent, position: await feed.position() };
        await inTransaction(database, (client) => hear(client, dispatch, heard));
        relay.wake();
      },
    });
  opened.use(await join(ORDERS_CHANNEL, readOrderEvent, hearOrder));
  opened.use(await join(KITCHEN_CHANNEL, readKitchenEvent, hearKitchen));
  // #endregion

  const running = opened.move();
  return { url: listening.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

type Hear<T> = (client: Parameters<typeof hearOrder>[0], dispatch: Dispatch, heard: Heard<T>) => Promise<void>;

if (import.meta.main) {
  await runService(NAME, (place) =>
    startTracking({
      ...place,
      ...envRedis(),
      databaseUrl: envDatabase(),
      callers: envCallers('gateway'),
      stepMs: envMs('STEP_MS', 1_000),
    }),
  );
}
