/**
 * The kitchen: cooks what is paid. It hears of orders and speaks of them by publish/subscribe, and nobody waits for it on the line.
 *
 * Any number of kitchens share the work: they are one group of the channel, and one table of tickets. It ends on SIGTERM: the
 * message in hand is finished, and what is on the stove is in the table.
 */
import { repeat } from '@patterns/kit/background';
import { createLog } from '@patterns/kit/log';
import { ensureSchema, openDatabase } from '../chassis/database.ts';
import { envDatabase, envMs, envRedis, type Place, runService } from '../chassis/entry.ts';
import { openBroker, subscribe } from '../chassis/messaging.ts';
import { startOutboxRelay, toBroker } from '../chassis/outbox.ts';
import { serve } from '../chassis/service.ts';
import { ORDERS_CHANNEL, readOrderEvent } from '../contracts/events.ts';
import { discardOrder, type Kitchen, SCHEMA, serveUp, takeOrder } from './tickets.ts';

const NAME = 'kitchen';

export interface KitchenOptions extends Partial<Place> {
  databaseUrl: string;
  redisUrl: string;
  /** Before every key. */
  prefix: string;
  /** How long an order takes. */
  cookMs?: number;
  /** Dishes that there are none of. */
  soldOut?: readonly string[];
  /** How often it looks what is done. */
  lookEveryMs?: number;
  graceMs?: number;
}

export async function startKitchen({
  databaseUrl,
  redisUrl,
  prefix,
  cookMs = 2_000,
  soldOut = ['truffle'],
  lookEveryMs = 100,
  log = createLog(NAME),
  port,
  graceMs,
  signal,
}: KitchenOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  // Closed in reverse: the consumer, then the stove, then what both stand on.
  await using opened = new AsyncDisposableStack();
  const database = opened.use(openDatabase({ url: databaseUrl, log }));
  await ensureSchema(database, SCHEMA, { signal });
  const kitchen: Kitchen = { database, cookMs, soldOut: new Set(soldOut) };
  const broker = opened.use(openBroker({ redisUrl, prefix, log }));
  const relay = opened.use(startOutboxRelay({ databaseUrl, queue: toBroker(broker), log }));
  const look = async () => {
    if ((await serveUp(kitchen)) > 0) relay.wake();
  };
  opened.use(repeat(lookEveryMs, look, log));
  const ready = async () => (await database.query('select 1')).rowCount === 1;
  const service = opened.use(await serve({ name: NAME, log, port, graceMs, ready, routes: () => {} }));

  // #region join
  opened.use(
    await subscribe(broker, {
      channel: ORDERS_CHANNEL,
      group: NAME,
      read: readOrderEvent,
      log,
      signal,
      async handle({ data: order, span: { traceparent } }) {
        if (order.state === 'paid' && (await takeOrder(kitchen, order, traceparent))) relay.wake();
        if (order.state === 'cancelling' || order.state === 'cancelled')
          await discardOrder(kitchen, order, traceparent);
      },
    }),
  );
  // #endregion

  const running = opened.move();
  return { url: service.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await runService(NAME, (place) =>
    startKitchen({
      ...place,
      ...envRedis(),
      databaseUrl: envDatabase(),
      cookMs: envMs('COOK_MS', 2_000),
      soldOut: (process.env.SOLD_OUT ?? 'truffle').split(','),
    }),
  );
}
