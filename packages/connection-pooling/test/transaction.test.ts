import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { openDatabase } from '../database.ts';
import { inTransaction } from '../transaction.ts';
import { openBank, pidOf, withPool } from './bank.ts';

const TAKE = 'update pooling.users set balance = balance - 1 where id = 1';
const BALANCE = 'select balance from pooling.users where id = 1';

requirePostgres()('a transaction', () => {
  test('is committed when its work is done, and seen by others only then', async () => {
    await using use = await withPool();
    const during = await inTransaction(use.database, async (client) => {
      await client.query(TAKE);
      return use.bank.query(BALANCE);
    });
    expect(during).toEqual([{ balance: 10_000 }]);
    expect(await use.bank.query(BALANCE)).toEqual([{ balance: 9_999 }]);
  });

  test('is rolled back when its work fails, and its client stays in the pool', async () => {
    await using use = await withPool({ size: 1 });
    const before = await use.database.withClient(pidOf);
    const work = inTransaction(use.database, async (client) => {
      await client.query(TAKE);
      await client.query('select 1/0');
    });
    await expect(work).rejects.toMatchObject({ code: '22012' });
    expect(await use.bank.query(BALANCE)).toEqual([{ balance: 10_000 }]);
    expect(await use.database.withClient(pidOf)).toBe(before);
  });

  test('whose ROLLBACK fails costs its client, and nothing else', async () => {
    await using bank = await openBank();
    await using proxy = await startFaultProxy(bank.url);
    await using database = openDatabase({ url: proxy.url, size: 1 });
    const work = inTransaction(database, async (client) => {
      await client.query(TAKE);
      proxy.cut();
      throw new Error('on the way');
    });
    await expect(work).rejects.toThrow('on the way');
    await inTransaction(database, (client) => client.query(TAKE));
    expect(await bank.query(BALANCE)).toEqual([{ balance: 9_999 }]);
  });

  test('does not pass for committed when a statement’s error was swallowed', async () => {
    await using use = await withPool();
    const work = inTransaction(use.database, async (client) => {
      await client.query(TAKE);
      await client.query('select 1/0').catch(() => {});
    });
    await expect(work).rejects.toThrow('rolled back');
    expect(await use.bank.query(BALANCE)).toEqual([{ balance: 10_000 }]);
  });
});
