import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { describe, expect, test } from 'vitest';
import { settleAll } from '../limit.ts';
import { computeReport } from '../report.ts';
import { call, ENDLESS, openOffice, post, SHORT } from './office.ts';

const RUNNING = 'pool_reports{state="running"}';
const QUEUED = 'pool_reports{state="queued"}';
const ended = (how: string) => `pool_reports_ended_total{how="${how}"}`;

requirePostgres()('by phone', () => {
  test('answers with the report, and when stopped finishes what it has begun and leaves nothing behind', async () => {
    await using _leaks = noLeaks();
    await using office = await openOffice();
    const wanted = { account: 7, rows: 100_000 };
    const answer = call(office.url, wanted);
    await until('it is being computed', () => office.gauge(RUNNING));
    await office.close();
    expect(await (await answer).json()).toEqual(computeReport(wanted));
  });

  describe('while a long one is computed', () => {
    test('somebody else is answered', async () => {
      await using office = await openOffice({ graceMs: 0 });
      const long = call(office.url, ENDLESS).then(
        () => 'answered',
        () => 'cut off',
      );
      await until('it is being computed', () => office.gauge(RUNNING));
      expect(await (await fetch(`${office.url}/ping`)).json()).toEqual({ pong: true });
      expect(await office.gauge(RUNNING)).toBe(1);
      await office.close();
      expect(await long).toBe('cut off');
    });

    test('hanging up stops the thread, which then serves the next caller', async () => {
      await using office = await openOffice();
      const leaving = new AbortController();
      const left = call(office.url, ENDLESS, leaving.signal).catch(() => 'left');
      await until('it is being computed', () => office.gauge(RUNNING));
      leaving.abort();
      expect(await left).toBe('left');
      await until('the thread has stopped', () => office.gauge(ended('stopped')));
      expect(await office.gauge(RUNNING)).toBe(0);
      expect((await call(office.url)).status).toBe(200);
    });

    test('waiting ends after waitMs with 503 and what to do instead, and so does the work', async () => {
      await using office = await openOffice({ waitMs: 200 });
      const answer = await call(office.url, ENDLESS);
      expect([answer.status, answer.headers.get('Retry-After')]).toEqual([503, '10']);
      expect(((await answer.json()) as { detail: string }).detail).toContain('POST /reports');
      await until('the thread has stopped', () => office.gauge(ended('stopped')));
    });

    test('one waits, the next is told 503 with Retry-After, and when both have left there is room again', async () => {
      await using office = await openOffice({ maxQueue: 1 });
      const leaving = new AbortController();
      const calls = [1, 2].map(() => call(office.url, ENDLESS, leaving.signal).catch(() => {}));
      await until('one is computed, one waits', () => office.gauge(QUEUED));
      const third = await call(office.url);
      expect([third.status, third.headers.get('Retry-After')]).toEqual([503, '2']);
      leaving.abort();
      await Promise.all(calls);
      await until('both have stopped', async () => (await office.gauge(ended('stopped'))) === 2);
      expect((await call(office.url)).status).toBe(200);
    });
  });

  test('a broken ledger is 500 without a word about what is inside, and the thread goes on', async () => {
    await using office = await openOffice();
    const answer = await call(office.url, { account: 13, rows: 10 });
    expect(answer.status).toBe(500);
    expect(await answer.json()).toEqual({ title: 'Internal Server Error', status: 500 });
    expect((await call(office.url)).status).toBe(200);
  });

  test('all callers at once are mostly refused; the same callers, two at a time, are all answered', async () => {
    await using office = await openOffice({ maxQueue: 1 });
    const callers = Array.from({ length: 8 }, () => ({ ...SHORT, rows: 50_000 }));
    const statuses = async (limit: number) => {
      const settled = await settleAll(callers, limit, (wanted) => call(office.url, wanted));
      return settled.map((each) => (each.status === 'fulfilled' ? each.value.status : 0));
    };
    expect(await statuses(callers.length)).toContain(503);
    expect(new Set(await statuses(2))).toEqual(new Set([200]));
  });

  test('what is too much or makes no sense is refused before anything is computed', async () => {
    await using office = await openOffice();
    const status = async (response: Promise<Response>) => (await response).status;
    const { url } = office;
    expect(await status(call(url, { account: 7, rows: 10_000_001 }))).toBe(400);
    expect(await status(fetch(`${url}/report?account=7&rows=1e9`))).toBe(400);
    expect(await status(fetch(`${url}/report?account=7&rows=1000&rows=1000`))).toBe(400);
    expect(await status(post(url, { account: 7, rows: 50_000_001 }))).toBe(400);
    expect(await status(post(url, [SHORT]))).toBe(400);
    expect(await status(post(url, { ...SHORT, note: 'x'.repeat(2_000) }))).toBe(413);
    expect(await status(post(url, SHORT, { 'Idempotency-Key': 'a b' }))).toBe(400);
    const refused = await fetch(`${url}/reports`, { method: 'PUT' });
    expect([refused.status, refused.headers.get('Allow')]).toEqual([405, 'POST']);
    expect(await office.gauge(ended('done'))).toBe(0);
  });
});
