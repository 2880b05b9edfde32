import { randomUUID } from 'node:crypto';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { describe, expect, test } from 'vitest';
import { cancel, sweep } from '../jobs.ts';
import { claim, finish, giveBack, renew } from '../lease.ts';
import { computeReport } from '../report.ts';
import { startServer } from '../server.ts';
import { accepted, openOffice, post, SHORT } from './office.ts';

const TERMS = { leaseMs: 60_000, maxAttempts: 3 };
const REPORT = computeReport(SHORT)!;

requirePostgres()('by e-mail', () => {
  describe('the server', () => {
    test('answers 202 with Location and Retry-After, and the job is on disk by then', async () => {
      await using office = await openOffice({ retryAfterSeconds: 3 });
      const answer = await post(office.url);
      const { id } = (await answer.json()) as { id: string };
      expect(await office.job(id)).toMatchObject({ ...SHORT, state: 'queued', attempts: 0 });
      expect(answer.status).toBe(202);
      expect(answer.headers.get('Location')).toBe(`/reports/${id}`);
      const status = await fetch(`${office.url}/reports/${id}`);
      expect([status.status, status.headers.get('Retry-After')]).toEqual([200, '3']);
      expect(await status.json()).toEqual({ id, state: 'queued', attempts: 0 });
      expect((await fetch(`${office.url}/reports/${id}/result`)).status).toBe(404);
    });

    test('does not say 202 before it has heard that the job is written; the same key finds it afterwards', async () => {
      await using office = await openOffice();
      await using line = await startFaultProxy(office.databaseUrl);
      await using server = await startServer({ databaseUrl: line.url, log: office.log, threads: 1 });
      const headers = { 'Idempotency-Key': `"${randomUUID()}"` };
      line.stall('down');
      const unheard = post(server.url, SHORT, headers);
      const { rows } = await until('the job is written', async () => {
        const found = await office.db.query<{ id: string }>('select id from sync_async.reports');
        return found.rowCount && found;
      });
      line.cut();
      line.flow();
      expect((await unheard).status).toBe(500);
      expect(await accepted(server.url, SHORT, headers)).toBe(rows[0]!.id);
    });

    test('makes one job of one key, and two without; the key of another report is 422', async () => {
      await using office = await openOffice();
      const headers = { 'Idempotency-Key': '"one"' };
      const ids = await Promise.all([1, 2, 3].map(() => accepted(office.url, SHORT, headers)));
      expect(new Set(ids).size).toBe(1);
      expect(await accepted(office.url)).not.toBe(await accepted(office.url));
      expect((await post(office.url, { ...SHORT, rows: 2 }, headers)).status).toBe(422);
    });

    test('says 503 with Retry-After when too many wait, but not to the job that waits already', async () => {
      await using office = await openOffice({ maxPending: 2 });
      const headers = { 'Idempotency-Key': '"first"' };
      const first = await accepted(office.url, SHORT, headers);
      await accepted(office.url);
      const third = await post(office.url);
      expect([third.status, third.headers.get('Retry-After')]).toEqual([503, '5']);
      expect(await accepted(office.url, SHORT, headers)).toBe(first);
      await cancel(office.db, first);
      expect((await post(office.url)).status).toBe(202);
    });

    test('leads with 303 to the result; a finished job cannot be cancelled, and what is kept for too long is 410', async () => {
      await using office = await openOffice();
      const id = await accepted(office.url);
      await finish(office.db, (await claim(office.db, TERMS))!, REPORT);
      const url = `${office.url}/reports/${id}`;
      const done = await fetch(url, { redirect: 'manual' });
      expect([done.status, done.headers.get('Location')]).toEqual([303, `/reports/${id}/result`]);
      expect(await (await fetch(url)).json()).toEqual(REPORT);
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(409);
      const age = (minutes: number) =>
        office.db.query(`update sync_async.reports set finished_at = now() - make_interval(mins => $1)`, [minutes]);
      const keepMs = 60_000;
      const afterSweep = async () => {
        await sweep(office.db, keepMs);
        return (await fetch(url)).status;
      };
      expect(await afterSweep()).toBe(200);
      await age(2);
      expect(await afterSweep()).toBe(410);
      expect((await fetch(`${url}/result`)).status).toBe(410);
      await age(31);
      expect(await afterSweep()).toBe(404);
    });

    test('cancels: 204, again 204, then 410; and 404 for what was never there', async () => {
      await using office = await openOffice();
      const url = `${office.url}/reports/${await accepted(office.url)}`;
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(204);
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(204);
      expect((await fetch(url)).status).toBe(410);
      for (const id of [randomUUID(), 'x']) {
        expect((await fetch(`${office.url}/reports/${id}`)).status).toBe(404);
        expect((await fetch(`${office.url}/reports/${id}`, { method: 'DELETE' })).status).toBe(404);
      }
    });
  });

  describe('a lease', () => {
    test('a late result does not undo a cancellation', async () => {
      await using office = await openOffice();
      const id = await accepted(office.url);
      const lease = (await claim(office.db, TERMS))!;
      await cancel(office.db, id);
      expect(await renew(office.db, lease, TERMS.leaseMs)).toBe(false);
      expect(await finish(office.db, lease, REPORT)).toBe(false);
      expect(await office.job(id)).toMatchObject({ state: 'cancelled', result: null });
    });

    test('a worker whose lease ran out cannot write over the one that has it now', async () => {
      await using office = await openOffice();
      const id = await accepted(office.url);
      const stale = (await claim(office.db, { ...TERMS, leaseMs: 0 }))!;
      const current = (await claim(office.db, TERMS))!;
      expect(current).toMatchObject({ id, attempts: 2 });
      expect(await finish(office.db, stale, { ...REPORT, balance: -1 })).toBe(false);
      await giveBack(office.db, stale);
      expect(await renew(office.db, stale, TERMS.leaseMs)).toBe(false);
      expect(await finish(office.db, current, REPORT)).toBe(true);
      expect((await office.job(id)).result).toEqual(REPORT);
    });

    test('who looks while another is taking a job neither waits for it nor takes the same', async () => {
      await using office = await openOffice();
      const ids = [await accepted(office.url), await accepted(office.url)];
      const taking = await office.db.connect();
      try {
        await taking.query('begin');
        const first = await claim(taking, TERMS);
        const second = await claim(office.db, TERMS);
        expect([first?.id, second?.id]).toEqual(ids);
      } finally {
        taking.release(true);
      }
    });
  });
});
