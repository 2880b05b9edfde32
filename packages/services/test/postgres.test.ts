import { once } from 'node:events';
import { createServer } from 'node:net';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { composePostgresUrl } from '../compose.ts';
import { createDatabase } from '../database.ts';
import { freePort, onFreePort } from '../free-port.ts';
import { findPostgres, locatePostgres } from '../postgres.ts';
import { startPostgres } from '../start-postgres.ts';
import { requirePostgres } from '../testing.ts';

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

requirePostgres()('DATABASE_URL', () => {
  test('is used when its server answers, and its password is not shown', async () => {
    const DATABASE_URL = inject('databaseUrl');
    await using postgres = await findPostgres({ env: { DATABASE_URL } });
    expect(postgres).toMatchObject({ url: DATABASE_URL, origin: 'environment' });
    const { password, host } = new URL(DATABASE_URL);
    expect(postgres.about).toContain(`:***@${host}`);
    expect(postgres.about).not.toContain(`:${password}@`);
    await postgres[Symbol.asyncDispose]();
    expect(await query(DATABASE_URL, 'select 1 as one')).toEqual([{ one: 1 }]); // not ours to end
  });

  test('is an error when its server does not answer', async () => {
    const env = { DATABASE_URL: `postgres://me:s3cret@127.0.0.1:${await freePort()}/mine` };
    const failure = await findPostgres({ env }).catch((error: Error) => error);
    expect(failure).toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/^DATABASE_URL .*ECONNREFUSED/),
    });
    expect((failure as Error).message).not.toContain('s3cret');
  });

  test('is an error when the server refuses its password', async () => {
    const url = new URL(inject('databaseUrl'));
    url.password = 'wrong';
    await expect(findPostgres({ env: { DATABASE_URL: url.href } })).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('password authentication failed'),
    });
  });
});

test.each(['localhost:5432', 'mysql://localhost', 'postgres//x'])(
  'DATABASE_URL %s is malformed',
  async (DATABASE_URL) => {
    await expect(findPostgres({ env: { DATABASE_URL } })).rejects.toMatchObject({
      code: 'invalid-url',
      message: expect.stringMatching(/^DATABASE_URL is not a URL of the form postgres:/),
    });
  },
);

requirePostgres()('a PostgreSQL of our own', () => {
  test('has a password, its own port on 127.0.0.1, 100 connections, and nothing to lose', async () => {
    const postgres = await findPostgres({ env: {}, composePort: await freePort() });
    try {
      expect(postgres.origin).toBe('started');
      expect(postgres.about).toMatch(/^started PostgreSQL 18\S* on 127\.0\.0\.1:\d+, gone when this ends$/);
      const names = ['fsync', 'listen_addresses', 'max_connections', 'unix_socket_directories', 'server_encoding'];
      const settings = await query(
        postgres.url,
        `select ${names.map((name) => `current_setting('${name}') as ${name}`).join()}`,
      );
      expect(settings).toEqual([
        {
          fsync: 'off',
          listen_addresses: '127.0.0.1',
          max_connections: '100',
          unix_socket_directories: '',
          server_encoding: 'UTF8',
        },
      ]);
      const guess = new URL(postgres.url);
      guess.password = '';
      await expect(query(guess.href, 'select 1')).rejects.toThrow(/password/);
    } finally {
      await postgres[Symbol.asyncDispose]();
    }
    await expect(query(postgres.url, 'select 1')).rejects.toThrow('ECONNREFUSED');
  });

  test('is taken for the one of docker-compose.yml where its port and password are; comes back after kill -9', async () => {
    await using server = await startPostgres({ password: 'patterns', settings: { max_connections: '20' } });
    expect(await locatePostgres({ env: {}, composePort: server.port })).toEqual({ from: 'npm' }); // no such database
    await query(server.url, 'create database patterns');

    await using postgres = await findPostgres({ env: {}, composePort: server.port });
    expect(postgres).toMatchObject({ url: composePostgresUrl(server.port), origin: 'compose' });
    await query(postgres.url, 'create table kept as select 1 as one');

    await server.kill();
    await server.restart();
    expect(await query(postgres.url, 'select one, current_setting($$max_connections$$) as most from kept')).toEqual([
      { one: 1, most: '20' },
    ]);
  });

  test('takes another port when its own was taken in between', async () => {
    const tried: number[] = [];
    await using occupant = createServer();
    await using postgres = await onFreePort(async (port) => {
      tried.push(port);
      if (tried.length === 1) await once(occupant.listen(port, '127.0.0.1'), 'listening');
      return await startPostgres({ port });
    });
    expect(postgres.port).toBe(tried[1]);
  });
});

requirePostgres()('a database of one’s own', () => {
  test('is dropped on dispose, although somebody is still connected', async () => {
    const database = await createDatabase(inject('databaseUrl'), 'some-name');
    const name = new URL(database.url).pathname.slice(1);
    expect(name).toMatch(/^patterns_some-name_[0-9a-f]{8}$/);
    const client = new pg.Client({ connectionString: database.url });
    client.on('error', () => {}); // pg emits another one when the connection then closes
    const cut = once(client, 'error');
    await client.connect();
    await database[Symbol.asyncDispose]();
    expect(await cut).toMatchObject([{ code: '57P01' }]); // admin_shutdown
    expect(await query(inject('databaseUrl'), `select from pg_database where datname = '${name}'`)).toEqual([]);
  });

  test('ten at once do not stand in each other’s way', async () => {
    await using stack = new AsyncDisposableStack();
    const urls = await Promise.all(
      Array.from({ length: 10 }, async () => stack.use(await createDatabase(inject('databaseUrl'), 'many')).url),
    );
    expect(new Set(urls).size).toBe(10);
  });
});
