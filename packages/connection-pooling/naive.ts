/**
 * The bank without a pool: every request connects for itself. It works, until many come at once:
 *  - a connection is a TCP handshake, a password exchange and a process on the server's side, for a query of a millisecond;
 *  - a burst opens as many connections as there are requests, and beyond the server's limit each is refused (500 here);
 *  - those that got in take the last connections from everybody else who uses that server;
 *  - a query that fails skips `end()`: the connection stays open until the process ends.
 */
import { createServer } from 'node:http';
import { envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import pg from 'pg';
import { listUsers, openBank } from './bank.ts';
import { USERS } from './protocol.ts';

export async function startNaiveServer({
  databaseUrl,
  port,
}: {
  databaseUrl: string;
  port?: number;
}): Promise<Listening> {
  const app = express();
  app.get(USERS, async (_req, res) => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    const users = await listUsers(client);
    await client.end();
    res.json({ users });
  });
  return listen(createServer(app), { port });
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const databaseUrl = await openBank(stack, signal);
    const server = stack.use(await startNaiveServer({ databaseUrl, port: envPort() }));
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: pnpm -C packages/connection-pooling client ${server.url} 200`);
  });
}
