/** A shop for tests, on a database of its own, and a provider's hand: it signs what it sends, unless it is told to cheat. */
import { randomUUID } from 'node:crypto';
import { createLog } from '@patterns/kit/log';
import { until } from '@patterns/kit/testing/until';
import { createDatabase } from '@patterns/services/database';
import type pg from 'pg';
import { inject } from 'vitest';
import { type ConsumerOptions, startConsumer } from '../consumer.ts';
import { openPool } from '../database.ts';
import { type PaymentEvent, WEBHOOKS } from '../protocol.ts';
import { createShop } from '../shop-database.ts';
import { newSecret, readSecret, sign } from '../signature.ts';

export const quiet = createLog('test');
quiet.silent = true;

export interface ShopDatabase extends AsyncDisposable {
  readonly url: string;
  readonly pool: pg.Pool;
}

export async function openShopDatabase(): Promise<ShopDatabase> {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createDatabase(inject('databaseUrl'), 'shop'));
  await createShop(url);
  const pool = stack.adopt(openPool({ url, size: 4, statementMs: 10_000, acquireMs: 15_000 }), (each) => each.end());
  const opened = stack.move();
  return { url, pool, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** A consumer: on a database of its own, or on one that tests share who look at their own events only. */
export async function openTestShop({
  database: shared,
  ...options
}: Partial<ConsumerOptions> & { database?: Pick<ShopDatabase, 'url' | 'pool'> } = {}) {
  await using stack = new AsyncDisposableStack();
  const database = shared ?? stack.use(await openShopDatabase());
  const secret = newSecret();
  const consumer = stack.use(
    await startConsumer({
      databaseUrl: database.url,
      secrets: () => [readSecret(secret)],
      log: quiet,
      graceMs: 2_000,
      backoffMs: 20,
      deadlineMs: 20_000, // the machine may be busy with other things
      ...options,
    }),
  );
  const opened = stack.move();
  return {
    ...shopView(database.pool),
    databaseUrl: database.url,
    url: consumer.url,
    secret,
    send: (event: unknown, forged?: Forged) => send(consumer.url, secret, event, forged),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** What a test looks at in a shop's database. */
export function shopView(pool: pg.Pool) {
  const count = async (query: string) => Number((await pool.query<{ count: string }>(query)).rows[0]?.count);
  return {
    pool,
    /** Effects: entries in the ledger, of all events or of one. */
    booked: async (event?: string) => {
      const query = 'select count(*) from shop.ledger where $1::text is null or event = $1';
      return Number((await pool.query<{ count: string }>(query, [event])).rows[0]?.count);
    },
    inbox: () => count('select count(*) from shop.inbox'),
    /** Whether it has been written down. */
    has: async ({ id }: PaymentEvent) =>
      (await pool.query('select from shop.inbox where id = $1', [id])).rowCount === 1,
    settled: () =>
      until(
        'the inbox is empty',
        async () => (await count('select count(*) from shop.inbox where outcome is null')) === 0,
      ),
  };
}

export interface Forged {
  headers?: Record<string, string | undefined>;
  /** What is sent, when it is not what is signed. */
  body?: Buffer;
  /** What is signed, when it is not the event's JSON. */
  signed?: Buffer;
  secret?: string;
  timestampSeconds?: number;
}

export async function send(url: string, secret: string, event: unknown, forged: Forged = {}): Promise<Response> {
  const signed = forged.signed ?? Buffer.from(JSON.stringify(event));
  const id = (event as { id?: string }).id ?? 'evt_none';
  const timestamp = forged.timestampSeconds ?? Math.floor(Date.now() / 1_000);
  const headers: Record<string, string | undefined> = {
    'Content-Type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': `${timestamp}`,
    'webhook-signature': sign([readSecret(forged.secret ?? secret)], id, timestamp, signed),
    ...forged.headers,
  };
  const response = await fetch(url + WEBHOOKS, {
    method: 'POST',
    headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)) as Record<
      string,
      string
    >,
    body: forged.body ?? signed,
  });
  await response.clone().arrayBuffer();
  return response;
}

export function paymentEvent({
  payment = `pay_${randomUUID()}`,
  version = 1,
  amount = 4_200,
  at = new Date().toISOString(),
} = {}): PaymentEvent {
  const status = version === 1 ? 'succeeded' : 'refunded';
  return { id: `evt_${randomUUID()}`, type: `payment.${status}`, at, data: { payment, version, amount, status } };
}
