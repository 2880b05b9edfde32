/**
 * The restaurant as every introduction shows it, with the orders that come next, runnable beside the sound one. It works, until
 * something is slow or gets lost:
 *  - the client waits as long as the server takes: there is no deadline on either side;
 *  - it sends a POST again when no answer came, though the first may have been carried out, and nothing tells them apart;
 *  - it takes any answer for a success: `fetch` does not reject on a 500;
 *  - the server believes what it is sent, cooks on when the client has left, and takes in more than it can do;
 *  - on SIGTERM it falls over with its requests in flight;
 *  - the menu is encoded and hashed for each request anew.
 */
import type { AddressInfo } from 'node:net';
import { envInteger, envPort } from '@patterns/kit/env';
import { findPostgres } from '@patterns/services/postgres';
import express from 'express';
import pg from 'pg';
import { openDatabase } from './database.ts';
import { MENU_PATH, ORDERS_PATH } from './protocol.ts';

export async function startNaiveServer({ databaseUrl, port = 0, kitchenMs = 0 }: NaiveOptions): Promise<string> {
  await openDatabase(databaseUrl, { size: 1, statementMs: 0 }).then((pool) => pool.end()); // the tables, for a fair start
  const pool = new pg.Pool({ connectionString: databaseUrl });
  const app = express();

  app.get(MENU_PATH, async (_req, res) => {
    const { rows } = await pool.query('select id, name, price from restaurant.dishes order by name');
    res.json({ items: rows });
  });

  app.post(ORDERS_PATH, express.json(), async (req, res) => {
    const { rows } = await pool.query(
      'insert into restaurant.orders (table_number, items, total) select $1, $2, 0 from pg_sleep($3) returning id',
      [req.body.table, JSON.stringify(req.body.items), kitchenMs / 1000],
    );
    res.json(rows[0]);
  });

  return new Promise((resolve) => {
    const server = app.listen(port, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}

interface NaiveOptions {
  databaseUrl: string;
  port?: number;
  kitchenMs?: number;
}

/** The textbook client; the retry is what is usually added to it after the first failure in production. */
async function request(url: string, init?: RequestInit): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetch(url, init);
      return await response.json();
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

if (import.meta.main) {
  process.once('disconnect', () => process.exit()); // whoever started us is gone
  process.channel?.unref();
  const [url, only] = process.argv.slice(2);
  if (url) {
    const startedAt = performance.now();
    try {
      if (only !== 'order') console.log(await request(`${url}${MENU_PATH}`));
      const body = JSON.stringify({ table: 7, items: [{ dish: 'pizza', quantity: 2 }] });
      const order = await request(`${url}${ORDERS_PATH}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body,
      });
      console.log(`ordered: ${(order as { id: string }).id}, ${Math.round(performance.now() - startedAt)} ms`);
    } catch (error) {
      console.log(`failed after ${Math.round(performance.now() - startedAt)} ms: ${(error as Error).message}`);
      process.exitCode = 1;
    }
  } else {
    const { url: databaseUrl } = await findPostgres({ progress: console.log });
    const url = await startNaiveServer({ databaseUrl, port: envPort(), kitchenMs: envInteger('KITCHEN_MS', 0) });
    console.log(`listening on ${url}`);
    console.log(`in another terminal: pnpm -C packages/request-response naive ${url}`);
  }
}
