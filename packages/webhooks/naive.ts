/**
 * Webhooks as every introduction shows them, both sides, runnable beside the sound ones. It works, until something goes wrong:
 *  - nothing is signed: whoever knows the URL can tell the shop that he has paid;
 *  - the shop parses whatever comes, and does what it says within the request: a slow effect is a failed delivery;
 *  - it looks whether it has seen the id, works, and then remembers: two deliveries at once both find nothing;
 *  - it remembers in memory: after a restart every repetition is new;
 *  - it goes by the order of arrival; and the textbook's mend, "only if the timestamp is newer", goes by clocks that differ and
 *    by timestamps that are equal (`ORDER_BY=timestamp`);
 *  - the provider's retries are in memory too (naive-provider.ts): a deployment, and they are gone;
 *  - nobody ever asks what has not come.
 */

import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import type { Pool, PoolClient } from 'pg';
import { openPool } from './database.ts';
import { startNaiveProvider } from './naive-provider.ts';
import { PAYMENTS, type PaymentEvent, WEBHOOKS } from './protocol.ts';
import { openShop } from './shop-database.ts';

export interface NaiveOptions {
  pool: Pool;
  port?: number;
  /** How long the bookkeeping takes. */
  bookingMs?: number;
  orderBy?: 'arrival' | 'timestamp';
}

export function startNaiveConsumer({
  pool,
  port,
  bookingMs = 0,
  orderBy = 'arrival',
}: NaiveOptions): Promise<Listening> {
  const processed = new Set<string>();
  const app = express();
  app.post(WEBHOOKS, express.json(), async (req, res) => {
    const event = req.body as PaymentEvent;
    if (processed.has(event.id)) return void res.sendStatus(200);
    if (bookingMs > 0) await delay(bookingMs);
    const change = event.type === 'payment.succeeded' ? event.data.amount : -event.data.amount;
    await (orderBy === 'timestamp' ? applyByTimestamp(pool, event) : applyByArrival(pool, event));
    await pool.query('insert into shop.ledger (event, payment, change) values ($1, $2, $3)', [
      event.id,
      event.data.payment,
      change,
    ]);
    processed.add(event.id);
    res.sendStatus(200);
  });
  return listen(createServer(app), { port });
}

/** Whatever comes last is true. */
export async function applyByArrival(pool: Pool | PoolClient, { at, data }: PaymentEvent): Promise<void> {
  await pool.query(
    `insert into shop.orders (payment, version, status, amount, at) values ($1, $2, $3, $4, $5)
     on conflict (payment) do update
        set version = excluded.version, status = excluded.status, amount = excluded.amount, at = excluded.at`,
    [data.payment, data.version, data.status, data.amount, at],
  );
}

// #region timestamp
/**
 * The textbook's mend for the order. Two changes in the same millisecond are a tie, and the second one is dropped. Two servers of
 * the provider have two clocks: what the slower one did last has an older timestamp, and is dropped too.
 */
export async function applyByTimestamp(pool: Pool | PoolClient, { at, data }: PaymentEvent): Promise<void> {
  await pool.query(
    `insert into shop.orders as known (payment, version, status, amount, at) values ($1, $2, $3, $4, $5)
     on conflict (payment) do update
        set version = excluded.version, status = excluded.status, amount = excluded.amount, at = excluded.at
      where known.at < excluded.at`,
    [data.payment, data.version, data.status, data.amount, at],
  );
}
// #endregion

if (import.meta.main) {
  await main(async (stack, signal) => {
    const [consumerUrl] = process.argv.slice(2);
    if (consumerUrl) {
      const times = {
        timeoutMs: envInteger('TIMEOUT_MS', 15_000),
        timeFactor: Number(process.env.WEBHOOK_TIME_FACTOR ?? 1),
      };
      const { url } = stack.use(await startNaiveProvider({ consumerUrl, port: envPort(), ...times }));
      console.log(`listening on ${url}`);
      console.log(
        `in another terminal: curl ${url}${PAYMENTS} -H 'Content-Type: application/json' -d '{ "amount": 4200 }'`,
      );
    } else {
      const { databaseUrl } = await openShop(stack, signal);
      const pool = stack.adopt(openPool({ url: databaseUrl, size: 10, statementMs: 0 }), (each) => each.end());
      const orderBy = process.env.ORDER_BY === 'timestamp' ? 'timestamp' : 'arrival';
      const { url } = stack.use(
        await startNaiveConsumer({ pool, port: envPort(), bookingMs: envInteger('BOOKING_MS', 0), orderBy }),
      );
      console.log(`listening on ${url}`);
      console.log(`in another terminal: pnpm -C packages/webhooks naive ${url}`);
    }
  });
}
