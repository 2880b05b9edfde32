/**
 * The same order as one process, for the microservices benchmark: `node microservices-monolith.ts`, with DATABASE_URL. What four
 * services do with sagas, outboxes and a queue are three rows in one transaction here.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import pg from 'pg';

const SCHEMA = `
  create schema if not exists monolith;
  create table if not exists monolith.orders (id uuid primary key, customer text not null, total int not null, status text not null);
  create table if not exists monolith.charges (order_id uuid primary key references monolith.orders, amount int not null);
  create table if not exists monolith.messages (order_id uuid primary key references monolith.orders);`;

await main(async (stack) => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
  pool.on('error', () => {});
  stack.defer(() => pool.end());
  await pool.query(SCHEMA);
  const app = express();
  app.post('/orders', express.json(), async (request, response) => {
    const id = randomUUID();
    const { customer, total } = request.body;
    const client = await pool.connect();
    try {
      await client.query('begin');
      await client.query(`insert into monolith.orders values ($1, $2, $3, 'paid')`, [id, customer, total]);
      await client.query('insert into monolith.charges values ($1, $2)', [id, total]);
      await client.query('insert into monolith.messages values ($1)', [id]);
      await client.query('commit');
    } finally {
      client.release();
    }
    response.status(201).json({ id, status: 'paid' });
  });
  const { url } = stack.use(await listen(createServer(app)));
  console.log(`listening on ${url}`);
});
