/**
 * A database of one's own on a server that others use too.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface Database extends AsyncDisposable {
  readonly url: string;
}

/** Makes an empty database `patterns_<name>_<random>` (some 50 ms); dropped on dispose, even while somebody is still
 *  connected. `serverUrl` is any database there, with a user who may create databases. */
export async function createDatabase(serverUrl: string, name: string): Promise<Database> {
  const database = `patterns_${name}_${randomBytes(4).toString('hex')}`;
  // template0, since nobody can be connected to it: template1 cannot be copied while somebody is.
  await execute(serverUrl, `create database ${pg.escapeIdentifier(database)} template template0`);
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return {
    url: url.href,
    [Symbol.asyncDispose]: () =>
      execute(serverUrl, `drop database if exists ${pg.escapeIdentifier(database)} with (force)`),
  };
}

async function execute(serverUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  client.on('error', () => {}); // the query that it broke rejects
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
