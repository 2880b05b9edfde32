import { AsyncResource } from 'node:async_hooks';
import { HttpProblem } from '@patterns/kit/problem';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until, within } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { openDatabase } from '../database.ts';
import type { Checkout } from '../leak-detector.ts';
import { openBank, pidOf, withPool } from './bank.ts';

requirePostgres()('lending', () => {
  test('who finds no free client is refused in time', async () => {
    await using use = await withPool({ size: 1, acquireTimeoutMs: 1_000 });
    await use.database.withClient(async () => {
      const second = outside(() => use.database.withClient(pidOf));
      await until('somebody waits', () => use.database.counts.waiting === 1);
      await expect(second).rejects.toMatchObject({ name: 'PoolError', code: 'exhausted' });
    });
    expect(use.database.counts).toEqual({ total: 1, idle: 1, waiting: 0 });
  });

  test('a server that does not answer is another error than a pool that is empty', async () => {
    await using bank = await openBank();
    await using proxy = await startFaultProxy(bank.url);
    proxy.refuse();
    await using database = openDatabase({ url: proxy.url });
    await expect(database.withClient(pidOf)).rejects.toMatchObject({ code: 'unreachable', cause: expect.any(Error) });
    proxy.accept();
    expect(await database.withClient(pidOf)).toBeGreaterThan(0);
  });

  test('work that fails gives its client back', async () => {
    await using use = await withPool({ size: 1 });
    const before = await use.database.withClient(pidOf);
    const work = use.database.withClient(async () => {
      throw new HttpProblem(409);
    });
    await expect(work).rejects.toMatchObject({ status: 409 });
    expect(await use.database.withClient(pidOf)).toBe(before);
  });

  test('a client whose statement has failed stays in the pool', async () => {
    await using use = await withPool({ size: 1 });
    const before = await use.database.withClient(pidOf);
    await expect(use.database.withClient((client) => client.query('select 1/0'))).rejects.toMatchObject({
      code: '22012',
    });
    expect(await use.database.withClient(pidOf)).toBe(before);
  });

  test('a client in an open transaction does not come back to the pool', async () => {
    await using use = await withPool({ size: 1 });
    const before = await use.database.withClient(async (client) => {
      await client.query('begin');
      return pidOf(client);
    });
    expect(await use.database.withClient(pidOf)).not.toBe(before);
  });

  test('a client whose line was cut is replaced', async () => {
    await using bank = await openBank();
    await using proxy = await startFaultProxy(bank.url);
    await using database = openDatabase({ url: proxy.url, size: 1 });
    const work = database.withClient(async (client) => {
      const sleeping = client.query('select pg_sleep(60)');
      proxy.cut();
      await sleeping;
    });
    await expect(work).rejects.toThrow(/terminated|ECONNRESET/);
    expect(await database.withClient(pidOf)).toBeGreaterThan(0);
  });

  test('a second client is refused to who holds one, at once', async () => {
    await using use = await withPool({ size: 5, acquireTimeoutMs: 0 });
    const nested = use.database.withClient(() => use.database.withClient(pidOf));
    await expect(within('refused', 1_000, nested)).rejects.toMatchObject({ code: 'nested' });
  });

  test('what work has started may take a client when the work is over', async () => {
    await using use = await withPool({ size: 1 });
    const over = Promise.withResolvers<void>();
    const { later } = await use.database.withClient(async () => ({
      later: over.promise.then(() => use.database.withClient(pidOf)),
    }));
    over.resolve();
    expect(await later).toBeGreaterThan(0);
  });

  test('who keeps a client too long is named, with file and line', async () => {
    const reported = Promise.withResolvers<Checkout>();
    const observer = { longCheckout: reported.resolve };
    await using use = await withPool({ longCheckoutMs: 20, observer });
    async function sendMailInTransaction() {
      await use.database.withClient(() => reported.promise);
    }
    await sendMailInTransaction();
    const { heldMs, takenAt } = await reported.promise;
    expect(heldMs).toBe(20);
    expect(takenAt[0]).toMatch(/sendMailInTransaction .*lending\.test\.ts:\d+/);
  });

  test('warming up opens every connection', async () => {
    await using use = await withPool({ size: 4 });
    await use.database.warmUp();
    expect(use.database.counts).toEqual({ total: 4, idle: 4, waiting: 0 });
    expect(await use.bank.backends()).toHaveLength(4);
  });

  test('the pool ends when its last client is back, and leaves no backend', async () => {
    await using bank = await openBank();
    const database = openDatabase({ url: bank.url });
    const order: string[] = [];
    const started = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const work = database.withClient(async (client) => {
      started.resolve();
      await finish.promise;
      await client.query('select 1');
      order.push('work');
    });
    await started.promise;
    const ended = database[Symbol.asyncDispose]().then(() => order.push('pool'));
    await bank.query('select 1'); // a round trip, during which a pool that does not wait would have ended
    finish.resolve();
    await Promise.all([work, ended]);
    expect(order).toEqual(['work', 'pool']);
    await until('no backend is left', async () => (await bank.backends()).length === 0);
  });
});

/** Runs `work` as another request would: not within the check-out of the caller. */
const nobody = new AsyncResource('another request');
const outside = <T>(work: () => Promise<T>): Promise<T> => nobody.runInAsyncScope(work);
