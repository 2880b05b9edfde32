import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { describe, expect, test } from 'vitest';
import { readSecret, verify, verifyBody } from '../signature.ts';
import { openProvider, openReceiver, type Provider } from './provider-stage.ts';

/** Most of a test is waiting, for a database or for a wait to pass. */
const concurrently = { concurrent: true };

const settled = (provider: Provider, endpoint: string, state: string) =>
  until(`a delivery that is ${state}`, async () => {
    const deliveries = await provider.deliveries(endpoint);
    return deliveries.length > 0 && deliveries.every((each) => each.state === state) && deliveries;
  });

requirePostgres()('a dispatcher', () => {
  describe('and its deliveries', concurrently, () => {
    test('delivers the bytes that were written with the payment, signed', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(204);
      const { id, secret } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      const event = await provider.pay();
      const { headers, body } = await receiver.webhooks.next();
      expect(headers).toMatchObject({ 'webhook-id': event, 'content-type': 'application/json' });
      expect(verify([readSecret(secret)], headers, body)).toBe('verified');
      expect(verifyBody([readSecret(secret)], headers['x-signature'], body)).toBe(true);
      const [row] = await provider.query('select body from provider.events');
      expect(body.toString()).toBe(row!.body);
      await settled(provider, id, 'delivered');
      expect((await provider.get(`/endpoints/${id}`)).body).toMatchObject({ succeeded: 1, failed: 0, successRate: 1 });
    });

    test('tries again with the same id and a timestamp of its own, signed anew', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(500, 503, 400, 204);
      const { id, secret } = await provider.register(receiver.url);
      // The second attempt at least a second after the first: else both have the same timestamp, and that would be right.
      await using _dispatcher = provider.dispatch({ timeFactor: 1 / 50 });
      const event = await provider.pay();
      const [first, second] = await receiver.webhooks.take(2);
      for (const { headers, body } of [first!, second!]) {
        expect(headers['webhook-id']).toBe(event);
        expect(verify([readSecret(secret)], headers, body)).toBe('verified');
      }
      expect(Number(second!.headers['webhook-timestamp'])).toBeGreaterThan(Number(first!.headers['webhook-timestamp']));
      await until('both outcomes', async () => (await provider.get(`/endpoints/${id}`)).body.failed === 2);
      const [delivery] = await provider.deliveries(id);
      expect(delivery).toMatchObject({ state: 'pending', attempts: 2, reason: 'answered 503' });
      expect(delivery!.waitMs).toBeGreaterThan(3_000); // of 5 min / 50
    });

    test('gives up after ten attempts, and keeps the reason', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(500);
      const { id } = await provider.register(receiver.url);
      const event = await provider.pay();
      await provider.query('update provider.events set position = 1');
      await provider.query('insert into provider.deliveries (event, endpoint, attempts) values ($1, $2, 8)', [
        event,
        id,
      ]);
      await using _dispatcher = provider.dispatch({ timeFactor: 1e-5 }); // the last wait is a second
      await settled(provider, id, 'dead');
      expect(receiver.webhooks.items).toHaveLength(2);
      const { dead } = (await provider.get(`/endpoints/${id}/dead`)).body;
      expect(dead).toMatchObject([{ event, type: 'payment.succeeded', attempts: 10, reason: 'answered 500' }]);
    });

    test('waits as long as it is asked to', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver((response) => {
        response.writeHead(400, { 'Retry-After': '3600' }).end();
      });
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      await provider.pay();
      const waitMs = await until('a wait', async () => {
        const [delivery] = await provider.deliveries(id);
        return delivery?.reason && delivery.waitMs;
      });
      expect(waitMs).toBeGreaterThan(3_500_000);
    });

    test('sends nothing at all to an endpoint that says it is overloaded, until its time is over', async () => {
      await using provider = await openProvider();
      await using other = await openReceiver(204);
      await using receiver = await openReceiver((response, _request, index) => {
        if (index === 0) response.writeHead(429, { 'Retry-After': '600' }).end();
        else response.writeHead(204).end();
      });
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      await provider.pay();
      await until('its rest', async () => {
        return (await provider.query('select from provider.endpoints where rests_until > now()')).length === 1;
      });
      await provider.register(other.url);
      const second = await provider.pay();
      await other.webhooks.next(); // who looks for what is due finds both
      expect((await provider.deliveries(id)).find(({ event }) => event === second)).toMatchObject({ attempts: 0 });
      await provider.query('update provider.endpoints set rests_until = now()');
      expect((await receiver.webhooks.take(2))[1]!.headers['webhook-id']).toBe(second);
    });

    test('disables an endpoint that answers 410, and gives up what was meant for it', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(500, 410);
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      await provider.pay();
      const disabled = await until('it is disabled', async () => {
        const { body } = await provider.get(`/endpoints/${id}`);
        return !body.isEnabled && body;
      });
      expect(disabled).toMatchObject({ disabledBecause: 'the endpoint answered 410', pending: 0, dead: 1 });
      await provider.pay();
      await until('no new events', async () => {
        return (await provider.query('select from provider.events where position is null')).length === 0;
      });
      expect(await provider.deliveries(id)).toHaveLength(1);
    });

    test('disables an endpoint at which nothing has arrived for days', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(500);
      const { id } = await provider.register(receiver.url);
      await provider.query(`update provider.endpoints set failing_since = now() - interval '5 days 1 minute'`);
      await using _dispatcher = provider.dispatch({ timeFactor: 1 });
      await provider.pay();
      await until('it is disabled', async () => !(await provider.get(`/endpoints/${id}`)).body.isEnabled);
      expect((await provider.get(`/endpoints/${id}`)).body.disabledBecause).toBe('it has failed for too long');
      expect(await provider.deliveries(id)).toMatchObject([{ state: 'dead', reason: 'it has failed for too long' }]);
    });

    test('follows no redirect', async () => {
      await using provider = await openProvider();
      await using elsewhere = await openReceiver(204);
      await using receiver = await openReceiver((response) => {
        response.writeHead(307, { Location: elsewhere.url }).end();
      }, 410);
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      await provider.pay();
      await settled(provider, id, 'dead'); // by the second attempt
      expect(receiver.webhooks.items).toHaveLength(2);
      expect(elsewhere.webhooks.items).toHaveLength(0);
    });

    test('reads no answer to its end that has none', async () => {
      await using provider = await openProvider();
      let written = 0;
      await using receiver = await openReceiver((response) => {
        response.writeHead(200);
        const pour = () => {
          while (!response.destroyed && response.write(Buffer.alloc(16_384))) written += 16_384;
        };
        response.on('drain', pour);
        pour();
      });
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch({ timeoutMs: 60_000 });
      await provider.pay();
      await settled(provider, id, 'delivered'); // the status has said all
      await until('the end of the connection', () => receiver.connections === 0);
      expect(written).toBeLessThan(8 * 1024 * 1024); // what sockets buffer
    });

    test('waits no longer than its timeout, for the answer and for its end', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(
        () => {},
        (response) => void response.writeHead(500).write('and'),
        410,
      );
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch({ timeoutMs: 1_000 });
      await provider.pay();
      await until('an outcome', async () => (await provider.deliveries(id))[0]?.reason === 'no answer within 1000 ms');
      await settled(provider, id, 'dead'); // by the third answer: the second had no end
      expect(receiver.webhooks.items.length).toBeGreaterThanOrEqual(3);
    });

    test('refuses a destination that was fine when it was registered', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(204);
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch({ allow: [], timeFactor: 1 });
      await provider.pay();
      await until('an outcome', async () => (await provider.deliveries(id))[0]?.reason);
      expect((await provider.deliveries(id))[0]!.reason).toBe('127.0.0.1 is not a public address');
      expect(receiver.webhooks.items).toHaveLength(0);
    });
  });

  describe('and many endpoints', concurrently, () => {
    test('is not delayed by one that is dead, however much waits for it', async () => {
      await using provider = await openProvider();
      await using hanging = await openReceiver(() => {});
      await using healthy = await openReceiver(204);
      const dead = await provider.register(hanging.url);
      // Its attempts take longer than this test may: with shared slots nothing else would ever be sent.
      await using _dispatcher = provider.dispatch({ timeoutMs: 60_000, perEndpoint: 4, concurrency: 6, graceMs: 0 });
      await Promise.all(Array.from({ length: 12 }, () => provider.pay()));
      await hanging.webhooks.take(4);
      const { id } = await provider.register(healthy.url);
      await Promise.all(Array.from({ length: 20 }, () => provider.pay()));
      await healthy.webhooks.take(20);
      await settled(provider, id, 'delivered');
      expect(hanging.webhooks.items).toHaveLength(4);
      expect((await provider.get(`/endpoints/${dead.id}`)).body.pending).toBe(32);
    });

    test('tries one at a time where the last attempt failed, and all of them after the first success', async () => {
      await using provider = await openProvider();
      let [open, most] = [0, 0];
      const answers: (() => void)[] = [];
      await using receiver = await openReceiver((response) => {
        most = Math.max(most, ++open);
        answers.push(() => {
          open--;
          response.writeHead(204).end();
        });
      });
      const { id } = await provider.register(receiver.url);
      await provider.query('update provider.endpoints set failing_since = now()');
      for (let n = 0; n < 9; n++) await provider.pay();
      await using _dispatcher = provider.dispatch({ perEndpoint: 8 });
      await receiver.webhooks.next();
      // Were there more than one, they would have come in the same batch.
      await until('several looks', async () => (await provider.deliveries(id)).length === 9);
      expect(most).toBe(1);
      answers[0]!();
      await receiver.webhooks.take(8);
      expect(most).toBe(8);
      for (const answer of answers.slice(1)) answer();
      await settled(provider, id, 'delivered');
    });
  });

  describe('and a secret that is rotated', concurrently, () => {
    test('signs with both while the overlap lasts, and then with the new one', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(204);
      const { id, secret } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      const rotated = (await provider.post(`/endpoints/${id}/rotate-secret`, {})).body.secret;
      await provider.pay();
      const during = await receiver.webhooks.next();
      expect(during.headers['webhook-signature']).toMatch(/^v1,\S+ v1,\S+$/);
      for (const one of [secret, rotated]) {
        expect(verify([readSecret(one)], during.headers, during.body)).toBe('verified');
      }
      expect(verifyBody([readSecret(secret)], during.headers['x-signature'], during.body)).toBe(true);
      await provider.query('update provider.endpoints set previous_until = now()');
      await provider.pay();
      const after = await receiver.webhooks.next();
      expect(verify([readSecret(rotated)], after.headers, after.body)).toBe('verified');
      expect(verify([readSecret(secret)], after.headers, after.body)).toBe('no-match');
      expect(verifyBody([readSecret(rotated)], after.headers['x-signature'], after.body)).toBe(true);
    });
  });

  describe('and dead letters', concurrently, () => {
    test('sends one of them again, from the beginning, with its id', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(410, 204);
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      const event = await provider.pay();
      await settled(provider, id, 'dead');
      await until('it is disabled', async () => !(await provider.get(`/endpoints/${id}`)).body.isEnabled);
      const [{ delivery }] = (await provider.get(`/endpoints/${id}/dead`)).body.dead;
      expect((await provider.post(`/endpoints/${id}/enable`)).body.isEnabled).toBe(true);
      expect((await provider.post(`/deliveries/${delivery}/replay`)).status).toBe(202);
      const [first, second] = await receiver.webhooks.take(2);
      expect([first!.headers['webhook-id'], second!.headers['webhook-id']]).toEqual([event, event]);
      expect(await settled(provider, id, 'delivered')).toMatchObject([{ attempts: 1 }]);
      expect((await provider.get(`/endpoints/${id}/dead`)).body.dead).toEqual([]);
    });

    test('sends a range again: what is dead in it, and what happened while the endpoint was disabled', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(204, 410, 204);
      const { id } = await provider.register(receiver.url);
      await using _dispatcher = provider.dispatch();
      const delivered = await provider.pay();
      await settled(provider, id, 'delivered');
      const dead = await provider.pay();
      await until('it is disabled', async () => (await provider.get(`/endpoints/${id}`)).body.isEnabled === false);
      const [missed, outside] = [await provider.pay(), await provider.pay()];
      await provider.query(`update provider.events set at = at - interval '2 hours' where id <> $1`, [outside]);
      await until('no new events', async () => {
        return (await provider.query('select from provider.events where position is null')).length === 0;
      });
      await provider.post(`/endpoints/${id}/enable`);
      const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
      const range = { since: hoursAgo(3), until: hoursAgo(1) };
      expect((await provider.post(`/endpoints/${id}/replay`, range)).body).toEqual({ replayed: 2 });
      const all = await settled(provider, id, 'delivered');
      expect(all.map(({ event }) => event).sort()).toEqual([delivered, dead, missed].sort());
      expect(receiver.webhooks.items).toHaveLength(4); // what had been delivered was not sent again
      for (const body of [{}, { since: 'now' }, { since: hoursAgo(1), until: 'x' }]) {
        expect((await provider.post(`/endpoints/${id}/replay`, body)).status).toBe(400);
      }
    });
  });
});
