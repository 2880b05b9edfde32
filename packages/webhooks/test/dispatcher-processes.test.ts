import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { describe, expect, test } from 'vitest';
import { openProvider, openReceiver, type Provider } from './provider-stage.ts';

const start = ({ databaseUrl }: Provider, env: Record<string, string> = {}) =>
  startProcess(new URL('../dispatcher.ts', import.meta.url), {
    env: { DATABASE_URL: databaseUrl, WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_TIME_FACTOR: '0.001', ...env },
  });

/** A process starts, on a machine on which much else is going on. */
const STARTED = { withinMs: 30_000 };

const idsOf = (webhooks: readonly { headers: { [name: string]: unknown } }[]) =>
  webhooks.map(({ headers }) => String(headers['webhook-id'])).sort();

requirePostgres()('dispatchers as processes', () => {
  describe('of which', { concurrent: true, timeout: 60_000 }, () => {
    test('one is killed with -9 in mid-attempt: another one sends what it had, with the same id', async () => {
      await using provider = await openProvider();
      await using receiver = await openReceiver(() => {}, 204); // the first attempt gets no answer
      const { id } = await provider.register(receiver.url);
      await using victim = start(provider, { WEBHOOK_TIMEOUT_MS: '1000' });
      const event = await provider.pay();
      await receiver.webhooks.next(STARTED);
      await victim.kill('SIGKILL');
      await using _other = provider.dispatch({ timeFactor: 1 }); // nothing but the lease brings it back so soon
      expect((await receiver.webhooks.next()).headers['webhook-id']).toBe(event);
      await until('the delivery', async () => (await provider.deliveries(id))[0]?.state === 'delivered');
      expect((await provider.deliveries(id))[0]).toMatchObject({ attempts: 2 });
    });

    test('one is told to stop: it waits for the answer that is under way, and writes it down', async () => {
      await using provider = await openProvider();
      const answer = Promise.withResolvers<void>();
      await using receiver = await openReceiver((response) => {
        void answer.promise.then(() => response.writeHead(204).end());
      });
      const { id } = await provider.register(receiver.url);
      await using dispatcher = start(provider);
      await provider.pay();
      await receiver.webhooks.next(STARTED);
      const exit = dispatcher.kill('SIGTERM');
      await until('it has stopped listening', async () => {
        const [{ listening }] = (await provider.query(
          `select count(*)::int as listening from pg_stat_activity
            where datname = current_database() and query like 'listen %'`,
        )) as [{ listening: number }];
        return listening === 0;
      });
      await provider.pay(); // it takes nothing more
      answer.resolve();
      expect(await exit).toEqual({ code: 0, signal: null });
      expect(await provider.deliveries(id)).toMatchObject([{ state: 'delivered', attempts: 1 }]);
      expect(receiver.webhooks.items).toHaveLength(1);
    });
  });

  test('three share the work, and send everything once', async () => {
    await using provider = await openProvider();
    await using receiver = await openReceiver(204);
    const { id } = await provider.register(receiver.url);
    const ids = await Promise.all(Array.from({ length: 150 }, () => provider.pay()));
    const dispatchers = [1, 2, 3].map(() => provider.dispatch({ perEndpoint: 4 }));
    await using stack = new AsyncDisposableStack();
    for (const dispatcher of dispatchers) stack.use(dispatcher);
    await until('all deliveries', async () => {
      const deliveries = await provider.deliveries(id);
      return deliveries.length === 150 && deliveries.every(({ state }) => state === 'delivered');
    });
    expect(idsOf(receiver.webhooks.items)).toEqual(ids.sort());
  });

  test('their connections to the database are cut again and again: everything is delivered', async () => {
    await using provider = await openProvider();
    await using receiver = await openReceiver(204);
    const { id } = await provider.register(receiver.url);
    const ids = await Promise.all(Array.from({ length: 60 }, () => provider.pay()));
    await using _dispatcher = provider.dispatch({ perEndpoint: 2, leaseMs: 1_000 });
    for (let cut = 1; cut <= 3; cut++) {
      await receiver.webhooks.take(10);
      await provider.query(
        `select pg_terminate_backend(pid, 5000) from pg_stat_activity
          where datname = current_database() and application_name <> 'test'`,
      );
    }
    await until('all deliveries', async () => {
      const deliveries = await provider.deliveries(id);
      return deliveries.length === 60 && deliveries.every(({ state }) => state === 'delivered');
    });
    expect([...new Set(idsOf(receiver.webhooks.items))]).toEqual(ids.sort());
  });

  test('one that cannot finish in time cuts its attempts off, and leaves them due at once', async () => {
    await using provider = await openProvider();
    await using receiver = await openReceiver(() => {}, 204);
    const { id } = await provider.register(receiver.url);
    {
      await using _stopped = provider.dispatch({ timeFactor: 1, graceMs: 50 });
      await provider.pay();
      await receiver.webhooks.next();
    }
    const [left] = await provider.deliveries(id);
    expect(left).toMatchObject({ state: 'pending', attempts: 1 });
    expect(left!.waitMs).toBeLessThanOrEqual(0);
  });
});
