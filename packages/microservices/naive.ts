/**
 * The textbook's food delivery, one program for its three services: `node naive.ts order|payment|notification`. Each is small and
 * reads well, and on a good day it works. What is wrong with it:
 *  - they call each other in a row, and everybody waits for the last one: an order stands as long as the SMS takes, and fails with it;
 *  - no call has a deadline: one service that hangs, and all in front of it hang too, with every request they have;
 *  - nothing has a key: the customer who sees an error and asks again is charged again;
 *  - what is done in two places is done one after the other (dual write): killed in between, one of them never hears of it;
 *  - nobody asks later what became of it: what is left half done stays half done;
 *  - a failure is a 500 that says nothing, though the money is gone;
 *  - one database for all, and no error handler on its pool: when the server ends an idle connection, the process ends with it;
 *  - the price is what the customer says it is, and who calls is not asked.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { ConfigError, envPort, envUrl } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express, { type Express } from 'express';
import pg from 'pg';

/** All three services' tables. */
export const NAIVE_SCHEMA = `
  create schema naive;
  create table naive.orders (id text primary key, customer text not null, total int not null, status text not null);
  create table naive.charges (id text primary key, order_id text not null, amount int not null);
  create table naive.messages (id text primary key, order_id text not null);`;

export interface NaiveOptions {
  pool: pg.Pool;
  /** Who is asked next: of `order` the payment service, of `payment` the notification service. */
  nextUrl?: string | undefined;
}

/** The routes of each. */
export const services = {
  // #region order
  order(app: Express, { pool, nextUrl }: NaiveOptions) {
    app.post('/orders', async (req, res) => {
      const id = randomUUID();
      const { customer, total } = req.body;
      await pool.query(`insert into naive.orders values ($1, $2, $3, 'placed')`, [id, customer, total]);
      await post(`${nextUrl}/charges`, { order: id, amount: total });
      await pool.query(`update naive.orders set status = 'paid' where id = $1`, [id]);
      res.json({ id, status: 'paid' });
    });
  },
  // #endregion

  // #region payment
  payment(app: Express, { pool, nextUrl }: NaiveOptions) {
    app.post('/charges', async (req, res) => {
      const { order, amount } = req.body;
      await pool.query('insert into naive.charges values ($1, $2, $3)', [randomUUID(), order, amount]);
      await post(`${nextUrl}/messages`, { order });
      res.json({ status: 'succeeded' });
    });
  },
  // #endregion

  notification(app: Express, { pool }: NaiveOptions) {
    app.post('/messages', async (req, res) => {
      await pool.query('insert into naive.messages values ($1, $2)', [randomUUID(), req.body.order]);
      res.json({ sent: true });
    });
  },
};

async function post(url: string, body: object): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  await response.body?.cancel();
}

export type NaiveService = keyof typeof services;

/** Starts one of the three. */
export function startNaive(name: NaiveService, options: NaiveOptions & { port?: number }): Promise<Listening> {
  const app = express();
  app.use(express.json());
  services[name](app, options);
  return listen(createServer(app), { port: options.port, graceMs: 500 });
}

if (import.meta.main) {
  await main(async (stack) => {
    const [name = ''] = process.argv.slice(2);
    if (!(name in services)) throw new ConfigError('usage: node naive.ts order|payment|notification');
    const databaseUrl = envUrl('DATABASE_URL', {
      protocols: ['postgres:', 'postgresql:'],
      hint: 'a database with the tables of NAIVE_SCHEMA; `pnpm dev:microservices --naive` makes one',
    });
    const pool = new pg.Pool({ connectionString: databaseUrl });
    stack.defer(() => pool.end());
    const nextUrl = process.env.NEXT_URL;
    const { url } = stack.use(await startNaive(name as NaiveService, { pool, nextUrl, port: envPort() }));
    console.log(`listening on ${url}`);
    if (name === 'order') {
      console.log(`in another terminal: curl ${url}/orders -H 'Content-Type: application/json' \\`);
      console.log(`       -d '{ "customer": "Alex", "total": 1250 }'`);
    }
  });
}
