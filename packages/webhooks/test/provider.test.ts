import { requirePostgres } from '@patterns/services/testing';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { openPool } from '../database.ts';
import { fanOut, listEvents } from '../events.ts';
import { readEvent } from '../protocol.ts';
import { openProvider } from './provider-stage.ts';

const URL = 'http://127.0.0.1:9/hooks';

requirePostgres()('the provider', () => {
  describe('over HTTP', { concurrent: true }, () => {
    test('writes a payment and its event, and then a refund and its event, with versions', async () => {
      await using provider = await openProvider();
      const { status, headers, body } = await provider.post('/payments', { amount: 4200 });
      expect(status).toBe(201);
      expect(body).toMatchObject({ version: 1, amount: 4200, status: 'succeeded' });
      const path = headers.get('location')!;
      expect((await provider.post(`${path}/refund`)).body).toMatchObject({ version: 2, status: 'refunded' });
      expect((await provider.get(path)).body).toEqual({ ...body, version: 2, status: 'refunded' });
      expect((await provider.post(`${path}/refund`)).status).toBe(409);
      const { events } = (await provider.get('/events')).body;
      const told = (type: string, rest: object) => ({ type, data: { ...body, ...rest } });
      expect(events.map(readEvent)).toMatchObject([
        told('payment.succeeded', {}),
        told('payment.refunded', { version: 2, status: 'refunded' }),
      ]);
    });

    test('takes no payment of which it cannot tell', async () => {
      await using provider = await openProvider();
      await provider.query('alter table provider.events add constraint closed check (false) not valid');
      expect((await provider.post('/payments', { amount: 1 })).status).toBe(500);
      expect(await provider.query('select from provider.payments')).toHaveLength(0);
    });

    test('tells what a payment lacks, and knows what is not there', async () => {
      await using provider = await openProvider();
      for (const body of [{}, { amount: 0 }, { amount: '5' }, { amount: 1.5 }, { amount: 1e10 }, []]) {
        const refused = await provider.post('/payments', body);
        expect(refused.status).toBe(400);
        expect(refused.headers.get('content-type')).toBe('application/problem+json');
      }
      const plain = await fetch(`${provider.url}/payments`, { method: 'POST', body: 'amount=5' });
      expect(plain.status).toBe(415);
      const answers = await Promise.all([
        provider.get('/payments/pay_0'),
        provider.post('/payments/pay_0/refund'),
        provider.get('/endpoints/ep_0'),
        provider.delete('/endpoints/ep_0'),
        provider.post('/endpoints/ep_0/rotate-secret'),
        provider.post('/endpoints/ep_0/disable'),
        provider.post('/deliveries/1/replay'),
        provider.post('/deliveries/x/replay'),
      ]);
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 404));
    });

    test('shows a secret when it is made, and never again', async () => {
      await using provider = await openProvider();
      const created = await provider.post('/endpoints', { url: URL, types: ['payment.refunded'] });
      expect(created.status).toBe(201);
      expect(created.headers.get('cache-control')).toBe('no-store');
      expect(created.body).toMatchObject({
        url: URL,
        types: ['payment.refunded'],
        isEnabled: true,
        pending: 0,
        dead: 0,
      });
      expect(created.body.secret).toMatch(/^whsec_/);
      const { id, secret } = created.body;
      const rotated = await provider.post(`/endpoints/${id}/rotate-secret`, { overlapSeconds: 60 });
      expect(rotated.body.secret).toMatch(/^whsec_/);
      expect(rotated.body.secret).not.toBe(secret);
      for (const path of ['/endpoints', `/endpoints/${id}`]) {
        expect(JSON.stringify((await provider.get(path)).body)).not.toMatch(/whsec|secret/);
      }
    });

    test('refuses endpoints where webhooks must not go, and what is no endpoint', async () => {
      await using provider = await openProvider({ allow: [] });
      for (const url of ['http://127.0.0.1/', 'https://2130706433/', 'https://[::1]/', 'http://8.8.8.8/']) {
        expect((await provider.post('/endpoints', { url })).status, url).toBe(422);
      }
      const mistakes = [
        {},
        { url: 5 },
        { url: 'https://8.8.8.8/', types: [] },
        { url: 'https://8.8.8.8/', types: ['payment.lost'] },
      ];
      for (const body of mistakes) expect((await provider.post('/endpoints', body)).status).toBe(400);
      expect((await provider.get('/endpoints')).body.endpoints).toEqual([]);
    });

    test('refuses an overlap longer than a week', async () => {
      await using provider = await openProvider();
      const { id } = await provider.register(URL);
      for (const overlapSeconds of [-1, 1.5, '60', 604_801]) {
        expect((await provider.post(`/endpoints/${id}/rotate-secret`, { overlapSeconds })).status).toBe(400);
      }
      expect((await provider.post(`/endpoints/${id}/rotate-secret`, { overlapSeconds: 604_800 })).status).toBe(200);
    });

    test('lists events page by page, to the end and on from there', async () => {
      await using provider = await openProvider();
      const ids = [];
      for (let n = 0; n < 5; n++) ids.push(await provider.pay());
      const seen: string[] = [];
      let after = '';
      for (const size of [2, 2, 1, 0]) {
        const { body } = await provider.get(`/events?limit=2&after=${after}`);
        expect(body.events).toHaveLength(size);
        seen.push(...body.events.map(({ id }: { id: string }) => id));
        after = body.next;
      }
      expect(seen).toEqual(ids);
      const later = await provider.pay();
      expect((await provider.get(`/events?after=${after}`)).body.events).toMatchObject([{ id: later }]);
      for (const query of ['after=x', 'after=1-1', 'after=-1', 'limit=0', 'limit=1001', 'limit=a', 'limit=1&limit=2']) {
        expect((await provider.get(`/events?${query}`)).status, query).toBe(400);
      }
    });

    test('lists no event in front of one that has been read already', async () => {
      await using provider = await openProvider();
      await using stack = new AsyncDisposableStack();
      const pool = stack.adopt(openPool({ url: provider.databaseUrl, size: 1 }), (each) => each.end());
      const slow = new pg.Client(provider.databaseUrl);
      await slow.connect();
      stack.defer(() => slow.end());
      // Its number is given out before the other's, and its commit comes after.
      await slow.query(
        `begin; insert into provider.events (id, type, body, at) values ('slow', 'x', '{"id":"slow"}', now())`,
      );
      const fast = await provider.pay();
      const before = await listEvents(pool, undefined, 10);
      await slow.query('commit');
      const after = await listEvents(pool, before.next, 10);
      expect([before.events, after.events]).toMatchObject([[{ id: fast }], [{ id: 'slow' }]]);
    });

    test('fans an event out once, to those endpoints that want it, however many do it at once', async () => {
      await using provider = await openProvider();
      await using stack = new AsyncDisposableStack();
      const pool = stack.adopt(openPool({ url: provider.databaseUrl, size: 4 }), (each) => each.end());
      const all = await provider.register(URL);
      const refunds = await provider.register(URL, ['payment.refunded']);
      const disabled = await provider.register(URL);
      await provider.post(`/endpoints/${disabled.id}/disable`);
      const ids = await Promise.all(Array.from({ length: 40 }, () => provider.pay()));
      const taken = await Promise.all(Array.from({ length: 8 }, () => fanOut(pool, 10)));
      expect(taken.reduce((sum, each) => sum + each)).toBe(40);
      expect((await provider.deliveries(all.id)).map(({ event }) => event).sort()).toEqual(ids.sort());
      expect(await provider.deliveries(refunds.id)).toEqual([]);
      expect(await provider.deliveries(disabled.id)).toEqual([]);
    });

    test('keeps nothing of an endpoint that was deleted', async () => {
      await using provider = await openProvider();
      await using stack = new AsyncDisposableStack();
      const pool = stack.adopt(openPool({ url: provider.databaseUrl, size: 1 }), (each) => each.end());
      const { id } = await provider.register(URL);
      await provider.pay();
      await fanOut(pool);
      expect((await provider.delete(`/endpoints/${id}`)).status).toBe(204);
      expect(await provider.query('select from provider.deliveries')).toHaveLength(0);
    });

    test('reports how old the oldest undelivered event is, though no dispatcher runs', async () => {
      await using provider = await openProvider();
      const { id } = await provider.register(URL);
      await provider.pay();
      await provider.query(`update provider.events set at = now() - interval '1 hour'`);
      const metrics = await (await fetch(`${provider.url}/metrics`)).text();
      const seconds = Number(/^webhook_oldest_undelivered_seconds (\S+)/m.exec(metrics)?.[1]);
      expect(seconds).toBeGreaterThanOrEqual(3_600);
      expect(metrics).toContain(`webhook_endpoint_enabled{endpoint="${id}"} 1`);
    });
  });
});
