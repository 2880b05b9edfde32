import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { describe, expect, test } from 'vitest';
import { computeReport } from '../report.ts';
import { accepted, MORE_ENDLESS, openOffice, SHORT, startProgram } from './office.ts';

/** Nothing happens by the clock. */
const NEVER = { pollMs: 3_600_000, leaseMs: 3_600_000 };

requirePostgres()('the worker', () => {
  test('when stopped gives back what it cannot finish, as if it had never had it, and leaves nothing behind', async () => {
    await using _leaks = noLeaks();
    await using office = await openOffice();
    const worker = await office.hire({ ...NEVER, graceMs: 0 });
    const id = await accepted(office.url, MORE_ENDLESS);
    await office.reaches(id, 'running');
    await worker[Symbol.asyncDispose]();
    expect(await office.job(id)).toMatchObject({ state: 'queued', attempts: 0, lease: null });
  });

  describe('at work', () => {
    test('when stopped finishes what it has, if that is soon, and begins nothing', async () => {
      await using office = await openOffice();
      const worker = await office.hire({ ...NEVER, graceMs: 3_600_000 });
      const id = await accepted(office.url, { account: 7, rows: 300_000 });
      const next = await accepted(office.url);
      await office.reaches(id, 'running');
      await worker[Symbol.asyncDispose]();
      expect((await office.job(id)).state).toBe('done');
      expect((await office.job(next)).state).toBe('queued');
    });

    test('is woken by NOTIFY', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire(NEVER);
      const first = await accepted(office.url);
      await office.reaches(first, 'done'); // it listens by now
      const second = await accepted(office.url);
      await office.reaches(second, 'done');
      expect((await office.job(second)).result).toEqual(computeReport(SHORT));
    });

    test('finds by itself what nobody told it, and takes up work again after its connections were cut', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire({ ...NEVER, pollMs: 50 });
      const insert = `insert into sync_async.reports (account, rows, traceparent) values (7, 10, '') returning id`;
      const untold = async () => ((await office.db.query<{ id: string }>(insert)).rows[0] as { id: string }).id;
      await office.reaches(await untold(), 'done');
      await office.db.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
      await office.reaches(await untold(), 'done');
    });

    test('listens again after the line was cut', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire(NEVER);
      const listening = `select from pg_stat_activity where datname = current_database() and query like 'listen%'`;
      const isListening = () => office.db.query(listening).then(({ rowCount }) => rowCount === 1);
      await until('it listens', isListening);
      await office.db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'`,
      );
      await until('it does not', async () => !(await isListening()));
      await office.reaches(await accepted(office.url), 'done'); // told in the gap, or after it
    });

    test('stops computing when the job is cancelled, and takes the next', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire(NEVER);
      const long = await accepted(office.url, MORE_ENDLESS);
      await office.reaches(long, 'running');
      const next = await accepted(office.url);
      await fetch(`${office.url}/reports/${long}`, { method: 'DELETE' });
      await office.reaches(next, 'done', 'the next job');
      expect(await office.job(long)).toMatchObject({ state: 'cancelled', result: null });
    });

    test('finds out when it listens again that the job was cancelled in the gap', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire(NEVER);
      const long = await accepted(office.url, MORE_ENDLESS);
      await office.reaches(long, 'running');
      const listening = `pg_stat_activity where datname = current_database() and query like 'listen%'`;
      const isListening = () => office.db.query(`select from ${listening}`).then(({ rowCount }) => rowCount === 1);
      await until('it listens', isListening);
      await office.db.query(`select pg_terminate_backend(pid) from ${listening}`);
      await until('it does not', async () => !(await isListening()));
      await fetch(`${office.url}/reports/${long}`, { method: 'DELETE' });
      await office.reaches(await accepted(office.url), 'done', 'the next job');
    });

    test('finds out with its next heartbeat when nobody told it that the job was cancelled', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire({ ...NEVER, leaseMs: 1_500 });
      const long = await accepted(office.url, MORE_ENDLESS);
      await office.reaches(long, 'running');
      const next = await accepted(office.url);
      await office.db.query(`update sync_async.reports set state = 'cancelled', lease = null where id = $1`, [long]);
      await office.reaches(next, 'done', 'the next job');
    });

    test('keeps a job that takes longer than its lease, by renewing it', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire({ leaseMs: 1_500, pollMs: 50, graceMs: 0, threads: 2 });
      const id = await accepted(office.url, MORE_ENDLESS);
      await office.reaches(id, 'running');
      const { leased_until: first } = await office.job(id);
      const isLater = 'select now() > $1::timestamptz as later';
      await until('the first lease has run out', async () => {
        const { rows } = await office.db.query<{ later: boolean }>(isLater, [first]);
        return rows[0]?.later;
      });
      expect(await office.job(id)).toMatchObject({ state: 'running', attempts: 1 });
    });

    test('writes down that a report fails, and the client is told so once and for all', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire(NEVER);
      const id = await accepted(office.url, { account: 13, rows: 10 });
      await office.reaches(id, 'failed');
      expect(await office.job(id)).toMatchObject({ attempts: 1, error: 'the ledger of account 13 does not add up' });
      const answer = await fetch(`${office.url}/reports/${id}`);
      expect([answer.status, answer.headers.get('Content-Type')]).toEqual([500, 'application/problem+json']);
      expect(await answer.text()).not.toContain('ledger');
    });

    test('does not begin a job again that has outlived its workers too often', async () => {
      await using office = await openOffice();
      const id = await accepted(office.url);
      await office.db.query(
        `update sync_async.reports set state = 'running', attempts = 3, leased_until = now() - interval '1 s' where id = $1`,
        [id],
      );
      await using _worker = await office.hire(NEVER);
      await office.reaches(id, 'failed');
    });

    test('killed with -9 together with the server: what was accepted is finished after the restart, in the same trace', {
      timeout: 60_000, // four processes start
    }, async () => {
      await using office = await openOffice();
      const { databaseUrl } = office;
      await using server = startProgram('server.ts', databaseUrl);
      await using worker = startProgram('worker.ts', databaseUrl, { LEASE_MS: '1000' });
      const traceId = '0af7651916cd43dd8448eb211c80319c';
      const wanted = { account: 7, rows: 500_000 };
      const id = await accepted(await server.url(), wanted, { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
      await office.reaches(id, 'running');
      await Promise.all([server.kill('SIGKILL'), worker.kill('SIGKILL')]);
      expect((await office.job(id)).state).toBe('running');
      await using nextServer = startProgram('server.ts', databaseUrl);
      await using nextWorker = startProgram('worker.ts', databaseUrl, { LEASE_MS: '1000' });
      const url = await nextServer.url();
      await nextWorker.line(/^working/);
      await office.reaches(id, 'done');
      expect((await office.job(id)).attempts).toBe(2);
      expect(await (await fetch(`${url}/reports/${id}`)).json()).toEqual(computeReport(wanted));
      const isTold = (program: { output(): string }, message: string) =>
        program
          .output()
          .split('\n')
          .some((line) => line.includes(message) && line.includes(traceId));
      await until(
        'both have logged it with its trace',
        () => isTold(server, '"accepted"') && isTold(nextWorker, '"done"'),
      );
    });
  });
});
