import { createHmac } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { createLog } from '@patterns/kit/log';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startConsumer } from '../consumer.ts';
import { newSecret, readSecret, signBody } from '../signature.ts';
import { openShopDatabase, openTestShop, paymentEvent, quiet, type ShopDatabase, send, shopView } from './shop.ts';

const nowSeconds = () => Math.floor(Date.now() / 1_000);

requirePostgres()('the consumer', () => {
  describe('what it takes', { concurrent: true }, () => {
    let database: ShopDatabase;
    beforeAll(async () => {
      database = await openShopDatabase();
    });
    afterAll(() => database[Symbol.asyncDispose]());

    test('a signed event is written down before the 2xx, and booked after it', async () => {
      await using shop = await openTestShop({ database, workers: 1 });
      const event = paymentEvent();
      const response = await shop.send(event);
      expect(response.status).toBe(200);
      expect(await shop.has(event)).toBe(true);
      await shop.settled();
      const order = await fetch(`${shop.url}/orders/${event.data.payment}`);
      expect(await order.json()).toEqual({
        payment: event.data.payment,
        version: 1,
        status: 'succeeded',
        amount: 4_200,
        booked: 4_200,
      });
      expect((await fetch(`${shop.url}/orders/nobody`)).status).toBe(404);
    });

    test('a forged request is refused without a word of why, and before anybody has read it', async () => {
      await using shop = await openTestShop({ database, workers: 0 });
      const event = paymentEvent();
      const changed = Buffer.from(JSON.stringify({ ...event, data: { ...event.data, amount: 1 } }));
      const forgeries: Record<string, Parameters<typeof shop.send>[1]> = {
        'not signed': { headers: { 'webhook-signature': undefined } },
        'no id': { headers: { 'webhook-id': undefined } },
        'no timestamp': { headers: { 'webhook-timestamp': undefined } },
        'another id': { headers: { 'webhook-id': 'evt_other' } },
        'another secret': { secret: newSecret() },
        'another body': { body: changed },
        'another time': { headers: { 'webhook-timestamp': `${nowSeconds() + 60}` } },
        'an unknown version': { headers: { 'webhook-signature': 'v2,AAAA' } },
        'a shorter signature': { headers: { 'webhook-signature': 'v1,AAAA' } },
        'not even JSON': { body: Buffer.from('{') },
        'no body': { body: Buffer.alloc(0) },
      };
      for (const [name, forged] of Object.entries(forgeries)) {
        const response = await shop.send(event, forged);
        expect(response.status, name).toBe(401);
        expect(await response.json(), name).toEqual({ title: 'Unauthorized', status: 401 });
        expect(response.headers.has('WWW-Authenticate'), name).toBe(true);
      }
      expect(await shop.has(event)).toBe(false);
    });

    test('a recorded request is refused when it is old, and one from the future as well', async () => {
      await using shop = await openTestShop({ database, workers: 0 });
      for (const [offsetSeconds, status] of [
        [-360, 401],
        [360, 401],
        [-240, 200],
        [240, 200],
      ] as const) {
        const response = await shop.send(paymentEvent(), { timestampSeconds: nowSeconds() + offsetSeconds });
        expect(response.status, `${offsetSeconds} s`).toBe(status);
      }
    });

    test('the same JSON written anew is another body', async () => {
      await using shop = await openTestShop({ database, workers: 0 });
      const event = paymentEvent();
      const signed = Buffer.from(JSON.stringify(event, undefined, 2));
      const rewritten = Buffer.from(JSON.stringify(JSON.parse(signed.toString())));
      expect((await shop.send(event, { signed, body: rewritten })).status).toBe(401);
      expect((await shop.send(event, { signed })).status).toBe(200);
    });

    test('what is too large, packed, or of another type is not read', async () => {
      await using shop = await openTestShop({ database, workers: 0, maxBodyBytes: 1_000 });
      const event = paymentEvent();
      const json = Buffer.from(JSON.stringify(event));
      const padded = Buffer.from(JSON.stringify({ ...event, note: 'x'.repeat(1_000) }));
      expect((await shop.send(event, { signed: padded })).status).toBe(413);
      expect((await shop.send(event, { headers: { 'Content-Type': 'text/plain' } })).status).toBe(415);
      const packed = { headers: { 'Content-Encoding': 'gzip' }, signed: gzipSync(json) };
      expect((await shop.send(event, packed)).status).toBe(415);
      const get = await fetch(`${shop.url}/webhooks`);
      expect([get.status, get.headers.get('Allow')]).toEqual([405, 'POST']);
      expect(await shop.has(event)).toBe(false);
    });

    test('what is signed and no event is a mistake of the provider, and is called that', async () => {
      await using shop = await openTestShop({ database, workers: 0 });
      const event = paymentEvent();
      expect((await shop.send(event, { signed: Buffer.from('{"id":') })).status).toBe(400);
      expect((await shop.send({ ...event, data: {} })).status).toBe(400);
      expect((await shop.send({ id: 'evt_other' }, { signed: Buffer.from(JSON.stringify(event)) })).status).toBe(400);
      expect(await shop.has(event)).toBe(false);
    });

    test('an event of a type that it does not know is taken, or it would come for days', async () => {
      await using shop = await openTestShop({ database, workers: 0 });
      const event = paymentEvent();
      expect((await shop.send({ ...event, type: 'payment.disputed' })).status).toBe(200);
      expect(await shop.has(event)).toBe(false);
    });

    test('any secret of several verifies', async () => {
      const [one, other] = [newSecret(), newSecret()];
      let valid = [one, other];
      await using shop = await openTestShop({ database, workers: 0, secrets: () => valid.map(readSecret) });
      expect((await shop.send(paymentEvent(), { secret: one })).status).toBe(200);
      expect((await shop.send(paymentEvent(), { secret: other })).status).toBe(200);
      valid = [other];
      expect((await shop.send(paymentEvent(), { secret: one })).status).toBe(401);
    });

    test('X-Signature instead: over the body alone, so an old request passes, and only its id tells', async () => {
      const secret = newSecret();
      await using shop = await openTestShop({
        database,
        workers: 0,
        scheme: 'simple',
        secrets: () => [readSecret(secret)],
      });
      const event = paymentEvent();
      const body = Buffer.from(JSON.stringify(event));
      const signature = signBody(readSecret(secret), body);
      const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
      expect(signature).toBe(createHmac('sha256', key).update(body).digest('hex'));
      const bare = { 'webhook-id': undefined, 'webhook-timestamp': undefined, 'webhook-signature': undefined };
      const simple = { headers: { ...bare, 'X-Signature': signature } };
      expect((await shop.send(event, simple)).status).toBe(200);
      expect((await shop.send(event, simple)).status).toBe(200);
      expect((await shop.send(event, { ...simple, body: Buffer.from(`${body.toString()} `) })).status).toBe(401);
      expect((await shop.send(event)).status).toBe(401);
      expect(await shop.has(event)).toBe(true);
    });

    test('the log has the id and the outcome, and no secret and no body', async () => {
      const lines: { webhookId?: string; outcome?: string }[] = [];
      const log = createLog('test');
      for (const transport of log.transports) transport.silent = true;
      log.on('data', (line) => lines.push(line));
      await using shop = await openTestShop({ log });
      const event = paymentEvent();
      await shop.send(event);
      await shop.send(event);
      await shop.send(event, { secret: newSecret() });
      await until('it is booked', () => lines.some(({ outcome }) => outcome === 'done'));
      const outcomes = lines.filter(({ webhookId }) => webhookId === event.id).map(({ outcome }) => outcome);
      expect(new Set(outcomes)).toEqual(new Set(['accepted', 'done', 'duplicate', 'no-match']));
      expect(JSON.stringify(lines)).not.toMatch(/whsec_|4200|v1,/);
    });
  });

  describe('what it promises', { concurrent: true }, () => {
    test('twenty deliveries of one event at once: twenty times 200, and one effect', async () => {
      await using shop = await openTestShop();
      const event = paymentEvent();
      const responses = await Promise.all(Array.from({ length: 20 }, () => shop.send(event)));
      expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
      await shop.settled();
      expect([await shop.inbox(), await shop.booked()]).toEqual([1, 1]);
    });

    test('no 2xx while the row is not committed', async () => {
      await using shop = await openTestShop();
      const blocker = await shop.pool.connect();
      try {
        await blocker.query('begin; lock table shop.inbox in share mode'); // may be read, not written
        let isAnswered = false;
        const answer = shop.send(paymentEvent()).finally(() => {
          isAnswered = true;
        });
        await until('its insert waits', async () => {
          const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
          return ((await shop.pool.query(waiting)).rowCount ?? 0) > 0;
        });
        expect(isAnswered).toBe(false);
        await blocker.query('rollback');
        expect((await answer).status).toBe(200);
      } finally {
        blocker.release();
      }
      expect(await shop.inbox()).toBe(1);
    });

    test('what cannot be written down is refused, in time, and taken when it comes again', async () => {
      await using database = await openShopDatabase();
      await using line = await startFaultProxy(database.url);
      const secret = newSecret();
      const secrets = () => [readSecret(secret)];
      await using consumer = await startConsumer({ databaseUrl: line.url, secrets, log: quiet });
      const [event, other] = [paymentEvent(), paymentEvent()];
      expect((await send(consumer.url, secret, other)).status).toBe(200);

      line.refuse(); // the database is gone
      line.cut();
      const refused = await send(consumer.url, secret, event);
      expect([refused.status, refused.headers.get('Retry-After')]).toEqual([503, '5']);
      line.accept();
      await until('it takes what comes', async () => (await send(consumer.url, secret, other)).status === 200);

      line.stall(); // it is there, and does not answer: nothing tells, but the clock
      expect((await send(consumer.url, secret, event)).status).toBe(503);
      line.flow();
      line.cut();

      const view = shopView(database.pool);
      await until('it takes the event again', async () => (await send(consumer.url, secret, event)).status === 200);
      await view.settled();
      expect([await view.inbox(), await view.booked(event.id)]).toEqual([2, 1]);
    });

    test('ended backends cost an attempt at most, and no event', async () => {
      await using shop = await openTestShop();
      const events = Array.from({ length: 40 }, () => paymentEvent());
      let taken = 0;
      const deliver = async (event: (typeof events)[number]) => {
        await until('it is taken', async () => (await shop.send(event)).status === 200);
        taken++;
      };
      const delivered = Promise.all(events.map(deliver));
      await until('some are taken', () => taken > 5);
      const { rowCount } = await shop.pool.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
      expect(rowCount).toBeGreaterThan(1);
      await delivered;
      await shop.settled();
      expect([await shop.inbox(), await shop.booked()]).toEqual([40, 40]);
    });
  });
});
