/**
 * The bank with the textbook's pool, `max: 20` and `idleTimeoutMillis`, and nothing else. It is fast, and four things end it:
 *  - who finds no free client waits for ever: no `connectionTimeoutMillis`, no timeout for statements or locks;
 *  - when the server ends an idle connection, the process dies: no `pool.on('error')`;
 *  - a transfer that is refused returns before `release()`: after twenty of those the pool is empty for good, and each
 *    of its clients sits in an open transaction;
 *  - a transfer books through `pool.query`, a second client, while it holds the first one: twenty at the same time hold all
 *    twenty, and each waits for the twenty-first. The booking is not part of the transaction, either.
 */
import { createServer } from 'node:http';
import { envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import pg from 'pg';
import { openBank } from './bank.ts';
import { TRANSFERS, USERS } from './protocol.ts';

export async function startNaivePoolServer({
  databaseUrl,
  port,
}: {
  databaseUrl: string;
  port?: number;
}): Promise<Listening> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 20, // Maximum number of connections in the pool
    idleTimeoutMillis: 30000, // How long a connection can be idle before being closed
  });

  async function queryDatabase() {
    const client = await pool.connect();
    try {
      const result = await client.query('SELECT * FROM pooling.users ORDER BY id');
      return result.rows;
    } finally {
      client.release(); // Return the connection to the pool
    }
  }

  const app = express();
  app.get(USERS, async (_req, res) => {
    res.json({ users: await queryDatabase() });
  });

  app.post(TRANSFERS, express.json(), async (req, res) => {
    const { from, to, amount } = req.body;
    const client = await pool.connect();
    await client.query('BEGIN');
    const { rows } = await client.query('SELECT balance FROM pooling.users WHERE id = $1', [from]);
    if (rows[0].balance < amount) {
      res.status(409).json({ error: 'insufficient funds' });
      return;
    }
    await client.query('UPDATE pooling.users SET balance = balance - $2 WHERE id = $1', [from, amount]);
    await client.query('UPDATE pooling.users SET balance = balance + $2 WHERE id = $1', [to, amount]);
    const id = await book(from, to, amount);
    await client.query('COMMIT');
    client.release();
    res.status(201).json({ id, from, to, amount });
  });

  async function book(from: number, to: number, amount: number) {
    const result = await pool.query(
      'INSERT INTO pooling.transfers (from_id, to_id, amount) VALUES ($1, $2, $3) RETURNING id',
      [from, to, amount],
    );
    return result.rows[0].id;
  }
  return listen(createServer(app), { port });
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const databaseUrl = await openBank(stack, signal);
    const server = stack.use(await startNaivePoolServer({ databaseUrl, port: envPort() }));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: pnpm -C packages/connection-pooling client ${server.url} 200`);
  });
}
