import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { requirePostgres } from '@patterns/services/testing';
import { describe, expect, test } from 'vitest';
import { cancel, collect, email, phone } from '../client.ts';
import { retryAfterMs } from '../protocol.ts';
import { computeReport } from '../report.ts';
import { startServer } from '../server.ts';
import { ENDLESS, MORE_ENDLESS, openOffice, SHORT } from './office.ts';

requirePostgres()('the client', () => {
  describe('with a server', () => {
    test('is answered by phone and by e-mail alike', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire();
      const report = computeReport(SHORT);
      expect(await phone(office.url, SHORT)).toEqual(report);
      const seen: string[] = [];
      expect(await email(office.url, SHORT, { onAccepted: (location) => seen.push(location) })).toEqual(report);
      expect(await collect(seen[0]!)).toEqual(report);
    });

    test('gives up at its deadline', async () => {
      await using office = await openOffice();
      await expect(phone(office.url, ENDLESS, { deadlineMs: 200 })).rejects.toMatchObject({ code: 'timeout' });
    });

    test('cancels, and is told that the report is gone', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire();
      const location = Promise.withResolvers<string>();
      const wanted = email(office.url, MORE_ENDLESS, { onAccepted: location.resolve });
      const gone = expect(wanted).rejects.toMatchObject({ code: 'gone' });
      await cancel(await location.promise);
      await gone;
    });

    test('does not ask again for what has failed', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire();
      await expect(email(office.url, { account: 13, rows: 10 })).rejects.toMatchObject({ code: 'failed' });
    });

    test('sends again when the answer got lost, and that is one job', async () => {
      await using office = await openOffice();
      await using _worker = await office.hire();
      await using line = await startFaultProxy(office.url);
      line.stall('down');
      const report = email(line.url, SHORT);
      const count = async () => (await office.db.query('select from sync_async.reports')).rowCount;
      await expect.poll(count, { timeout: 10_000 }).toBe(1);
      line.cut();
      line.flow();
      expect(await report).toEqual(computeReport(SHORT));
      expect(await count()).toBe(1);
    });

    test('waits through a restart of the server', async () => {
      await using office = await openOffice();
      await using line = await startFaultProxy(office.url);
      const location = Promise.withResolvers<string>();
      const report = email(line.url, SHORT, { onAccepted: location.resolve });
      await location.promise;
      await office.close();
      await using next = await startServer({ databaseUrl: office.databaseUrl, log: office.log, threads: 1 });
      line.target(next.url);
      line.cut();
      await using _worker = await office.hire();
      expect(await report).toEqual(computeReport(SHORT));
    });
  });

  test('reads Retry-After in both forms', () => {
    const now = Date.parse('Sun, 22 Nov 2026 04:00:00 GMT');
    expect(retryAfterMs('7')).toBe(7_000);
    expect(retryAfterMs('Sun, 22 Nov 2026 04:00:30 GMT', 1_000, now)).toBe(30_000);
    expect(retryAfterMs('Sun, 22 Nov 2026 03:59:30 GMT', 1_000, now)).toBe(0);
    expect(retryAfterMs('soon', 250)).toBe(250);
    expect(retryAfterMs(null, 250)).toBe(250);
  });
});
