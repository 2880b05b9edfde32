import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { openDatabase } from '../database.ts';
import { openBank, pidOf, withPool } from './bank.ts';

requirePostgres()('the pool’s options', () => {
  test('it connects when it is first used, and not before', async () => {
    await using use = await withPool();
    expect(await use.bank.backends()).toEqual([]);
    await use.database.withClient(pidOf);
    expect(await use.bank.backends()).toHaveLength(1);
  });

  test('twenty callers at once are served by its three connections', async () => {
    await using use = await withPool({ size: 3 });
    const pids = await Promise.all(Array.from({ length: 20 }, () => use.database.withClient(pidOf)));
    expect(pids).toHaveLength(20);
    expect(new Set(pids).size).toBe(3);
    expect(new Set(await use.bank.backends())).toEqual(new Set(pids));
  });

  test('the end of an idle connection is reported, and the next caller gets another one', async () => {
    const reported = Promise.withResolvers<Error>();
    const observer = { idleError: reported.resolve };
    await using use = await withPool({ size: 1, observer });
    const before = await use.database.withClient(pidOf);
    await use.bank.endBackends();
    expect(await reported.promise).toMatchObject({ code: '57P01' }); // admin_shutdown
    expect(await use.database.withClient(pidOf)).not.toBe(before);
  });

  test('the end of a connection that is lent out, between two queries, breaks the next query and nothing else', async () => {
    await using use = await withPool({ size: 1 });
    const work = use.database.withClient(async (client) => {
      const ended = new Promise((resolve) => client.once('end', resolve));
      await use.bank.endBackends();
      await ended;
      await client.query('select 1');
    });
    await expect(work).rejects.toThrow('not queryable');
    expect(await use.database.withClient(pidOf)).toBeGreaterThan(0);
  });

  test('a statement that takes too long is cancelled, on the server as well', async () => {
    await using use = await withPool({ statementTimeoutMs: 100 });
    const work = use.database.withClient((client) => client.query('select pg_sleep(60)'));
    await expect(work).rejects.toMatchObject({ code: '57014' }); // query_canceled
    const active = await use.bank.query(
      `select from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active' and datname = current_database()`,
    );
    expect(active).toEqual([]);
  });

  test('a lock is not waited for longer than its timeout', async () => {
    await using use = await withPool({ lockTimeoutMs: 100 });
    await using _lock = await use.bank.lockUsers();
    const work = use.database.withClient((client) => client.query('select from pooling.users'));
    await expect(work).rejects.toMatchObject({ code: '55P03' }); // lock_not_available
  });

  test('a transaction in which nothing happens is ended, and its locks are free', async () => {
    await using use = await withPool({ size: 1, idleInTransactionMs: 100 });
    const work = use.database.withClient(async (client) => {
      await client.query('begin; lock table pooling.users in access exclusive mode');
      await new Promise((resolve) => client.once('end', resolve));
    });
    await work;
    await use.bank.query('select from pooling.users'); // would wait for the lock
    expect(await use.database.withClient(pidOf)).toBeGreaterThan(0);
  });

  test('a query on a line that has gone silent ends', async () => {
    await using bank = await openBank();
    await using proxy = await startFaultProxy(bank.url);
    await using database = openDatabase({ url: proxy.url, size: 1, statementTimeoutMs: 500 });
    const before = await database.withClient(pidOf);
    const work = database.withClient(async (client) => {
      proxy.stall();
      await client.query('select 1');
    });
    await expect(work).rejects.toThrow('Query read timeout');
    proxy.flow();
    expect(await database.withClient(pidOf)).not.toBe(before); // the query is still under way on the old one
  });

  test('an idle connection is closed after a while', async () => {
    await using use = await withPool({ idleTimeoutMs: 50 });
    await use.database.withClient(pidOf);
    await until('the backend has ended', async () => (await use.bank.backends()).length === 0);
  });

  test('a connection that has come of age is replaced', async () => {
    await using use = await withPool({ size: 1, maxLifetimeMs: 50 });
    const before = await use.database.withClient(pidOf);
    await until('another backend serves', async () => (await use.database.withClient(pidOf)) !== before);
  });
});
