import { createLog } from '@patterns/kit/log';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { openPool } from '../database.ts';
import { enqueue, startWorker } from '../inbox.ts';
import { bookEvent } from '../orders.ts';
import { KEPT_DAYS, sweep } from '../upkeep.ts';
import { openShopDatabase, openTestShop, paymentEvent, quiet, shopView } from './shop.ts';

requirePostgres()('the inbox', () => {
  test('a failed effect is undone as a whole, releases its claim, and is done when it can be', async () => {
    await using shop = await openTestShop({ maxAttempts: 1_000 });
    // The ledger is written first, and the order then cannot be: a real constraint of a shop that takes no refunds yet.
    await shop.pool.query(`alter table shop.orders add constraint no_refunds check (status <> 'refunded')`);
    const [refund, other] = [paymentEvent({ version: 2 }), paymentEvent()];
    await shop.send(refund);
    await shop.send(other);
    const attempts = `select attempts, reason from shop.inbox where id = '${refund.id}' and attempts > 1`;
    const { rows } = await until('it has failed twice', async () => {
      const result = await shop.pool.query<{ reason: string }>(attempts);
      return result.rowCount === 1 && result;
    });
    expect(rows[0]?.reason).toContain('no_refunds');
    await until(
      'the other one is booked: nobody waits behind a failure',
      async () => (await shop.booked(other.id)) === 1,
    );
    expect(await shop.booked(refund.id)).toBe(0);
    await shop.pool.query('alter table shop.orders drop constraint no_refunds');
    await shop.settled();
    expect(await shop.booked(refund.id)).toBe(1);
  });

  test('what fails too often is set aside with its reason, and tried again when somebody says so', async () => {
    await using shop = await openTestShop({ maxAttempts: 2 });
    await shop.pool.query(`alter table shop.orders add constraint no_refunds check (status <> 'refunded')`);
    const refund = paymentEvent({ version: 2 });
    await shop.send(refund);
    await shop.settled();
    const state = (await (await fetch(`${shop.url}/inbox`)).json()) as { setAside: object[] };
    expect(state).toMatchObject({ waiting: 0, setAside: [{ id: refund.id, type: refund.type, attempts: 2 }] });
    expect(JSON.stringify(state.setAside)).toContain('no_refunds');
    // It stays known: the provider may send it again, and is answered 200.
    expect((await shop.send(refund)).status).toBe(200);
    expect(await shop.inbox()).toBe(1);

    await shop.pool.query('alter table shop.orders drop constraint no_refunds');
    expect((await fetch(`${shop.url}/inbox/${refund.id}/retry`, { method: 'POST' })).status).toBe(202);
    expect((await fetch(`${shop.url}/inbox/evt_nothing/retry`, { method: 'POST' })).status).toBe(404);
    await shop.settled();
    expect(await shop.booked(refund.id)).toBe(1);
  });

  test('killed with -9 between claim and effect: another process does it, once', { timeout: 60_000 }, async () => {
    await using database = await openShopDatabase();
    const { booked, settled, pool } = shopView(database.pool);
    const event = paymentEvent();
    await enqueue(pool, event, 'delivered');
    const env = { DATABASE_URL: database.url, BOOKING_MS: '1500', LOG_LEVEL: 'error' };
    await using killed = startProcess(new URL('../inbox.ts', import.meta.url), { env });
    const working = `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`;
    const isWorking = async () => ((await pool.query(working)).rowCount ?? 0) > 0;
    await until('it has claimed the event', isWorking, { withinMs: 30_000 });
    await killed.kill('SIGKILL');
    expect(await booked()).toBe(0);

    const own = openPool({ url: database.url, size: 4, statementMs: 5_000 });
    const worker = startWorker({ pool: own, log: quiet, pollMs: 20 });
    await settled();
    await worker[Symbol.asyncDispose]();
    await own.end();
    expect(await booked(event.id)).toBe(1);
  });

  test("two processes' workers, whose connections are ended meanwhile: each event once", async () => {
    await using database = await openShopDatabase();
    const { booked, settled, pool } = shopView(database.pool);
    const events = Array.from({ length: 200 }, () => paymentEvent());
    for (const event of events) await enqueue(pool, event, 'delivered');
    await using stack = new AsyncDisposableStack();
    for (let i = 0; i < 2; i++) {
      const own = openPool({ url: database.url, size: 4, statementMs: 5_000 });
      stack.defer(() => own.end());
      stack.use(startWorker({ pool: own, log: quiet, pollMs: 20 }));
    }
    for (const most of [20, 80, 140]) {
      await until(`${most} are booked`, async () => (await booked()) >= most);
      await pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid() and query not like '%count%'`,
      );
    }
    await settled();
    const { rows } = await pool.query('select event from shop.ledger group by event having count(*) = 1');
    expect(rows.length).toBe(200);
    expect(await booked()).toBe(200);
  });

  test('a database that is away is asked now and then, and not in a hot loop', async () => {
    await using database = await openShopDatabase();
    await using line = await startFaultProxy(database.url);
    line.refuse();
    const log = createLog('test');
    for (const transport of log.transports) transport.silent = true;
    let failures = 0;
    log.on('data', () => failures++);
    const own = openPool({ url: line.url, size: 1, statementMs: 5_000 });
    const worker = startWorker({ pool: own, log, concurrency: 1, pollMs: 3_600_000 });
    await until('it has failed', () => failures > 0);
    for (let i = 0; i < 100; i++) await database.pool.query('select'); // long enough for many more
    expect(failures).toBe(1);
    line.accept();
    await enqueue(database.pool, paymentEvent(), 'delivered');
    worker.wake();
    await shopView(database.pool).settled();
    await worker[Symbol.asyncDispose]();
    await own.end();
  });

  test('a shop that is closed leaves nothing open', async () => {
    await using _leaks = noLeaks();
    await using shop = await openTestShop();
    expect((await shop.send(paymentEvent())).status).toBe(200);
  });

  test('stopping finishes what was begun, and begins nothing more', async () => {
    await using _leaks = noLeaks();
    await using database = await openShopDatabase();
    const { booked, pool } = shopView(database.pool);
    await enqueue(pool, paymentEvent(), 'delivered');
    await enqueue(pool, paymentEvent(), 'delivered');
    const own = openPool({ url: database.url, size: 1, statementMs: 5_000 });
    const begun = Promise.withResolvers<void>();
    const worker = startWorker({
      pool: own,
      log: quiet,
      concurrency: 1,
      effect: async (client, event) => {
        begun.resolve();
        await bookEvent(client, event, 100);
      },
    });
    await begun.promise;
    await worker[Symbol.asyncDispose]();
    expect(await booked()).toBe(1); // not later, when the pool has ended
    await own.end();
  });

  test('ids are forgotten when they are older than any repetition, and only of events that are done', async () => {
    await using shop = await openTestShop({ workers: 0 });
    const [old, recent, waiting] = [paymentEvent(), paymentEvent(), paymentEvent()];
    for (const event of [old, recent, waiting]) await shop.send(event);
    const age = (id: string, days: number) =>
      shop.pool.query(
        `update shop.inbox set outcome = 'done', received_at = now() - $2 * interval '1 day', settled_at = now() - $2 * interval '1 day'
          where id = $1`,
        [id, days],
      );
    await age(old.id, KEPT_DAYS + 1);
    await age(recent.id, KEPT_DAYS - 1);
    await shop.pool.query(`update shop.inbox set received_at = now() - interval '1 year' where id = '${waiting.id}'`);
    await sweep(shop.pool);
    const { rows } = await shop.pool.query<{ id: string }>('select id from shop.inbox');
    expect(rows.map(({ id }) => id).sort()).toEqual([recent.id, waiting.id].sort());
    expect(KEPT_DAYS).toBeGreaterThan(14); // the provider tries for three days, and people find things out after two weeks
  });
});
