import { createLog } from '@patterns/kit/log';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { newJob } from '@patterns/queues/job';
import type { Queue } from '@patterns/queues/queue';
import { openRedisQueue } from '@patterns/queues/redis-queue';
import { createDatabase } from '@patterns/services/database';
import { redisKeyspace } from '@patterns/services/keyspace';
import { requirePostgres } from '@patterns/services/testing';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { NOTIFICATIONS_QUEUE, NOTIFY, type Notification } from '../contracts/notification.ts';
import { type NotificationOptions, startNotification } from '../notification/server.ts';

const quiet = createLog('test');
quiet.silent = true;

requirePostgres()('notification', () => {
  describe('tells', { concurrent: true }, () => {
    test('everybody once, however often a job is delivered', async () => {
      await using stage = await openStage();
      await using _notification = await stage.start();
      const jobs = [job('a'), job('b', 'refunded'), job('a'), job('a')];
      await stage.queue.enqueue([...jobs, job('a')]);
      await stage.settled();
      expect(await stage.messages()).toEqual(['a:succeeded', 'b:refunded']);
      const [message] = await stage.query(`select order_id, customer, what, amount::int from notification.messages`);
      expect(message).toMatchObject({ order_id: 'a', customer: 'customer-1', what: 'succeeded', amount: 1_000 });
    });

    test('everybody once, though it is killed with -9 in the middle, and catches up when it is back', async () => {
      await using stage = await openStage();
      await stage.queue.enqueue(['a', 'b', 'c'].map((order) => job(order)));
      await using killed = stage.process({ GATEWAY_MS: '60000', LEASE_MS: '1000' });
      await until('three jobs are in hand', async () => (await stage.queue.depth()).leased === 3, {
        withinMs: 30_000, // a process has to start
      });
      await killed.kill();
      await stage.queue.enqueue([job('d')]); // nobody is there
      await using _notification = await stage.start();
      await stage.settled();
      expect(await stage.messages()).toEqual(['a', 'b', 'c', 'd'].map((order) => `${order}:succeeded`));
    }, 60_000);

    test('the others, when one job makes no sense; that one is set aside, and shown with the reason', async () => {
      await using stage = await openStage();
      await using notification = await stage.start({ maxAttempts: 1 });
      await stage.queue.enqueue([newJob({ id: 'odd', kind: NOTIFY, data: { order: 'x' } }), job('a')]);
      await stage.settled();
      expect(await stage.messages()).toEqual(['a:succeeded']);
      const { dead } = (await (await fetch(`${notification.url}/dead-letters`)).json()) as { dead: object[] };
      expect(dead).toMatchObject([{ job: 'odd', reason: 'the body is not as it should be' }]);
    });

    test('later what it could not tell because its database was away', async () => {
      await using stage = await openStage();
      await using _notification = await stage.start({ maxAttempts: 1_000, backoff: { baseMs: 50, capMs: 100 } });
      await stage.query('alter table notification.messages rename to away');
      await stage.queue.enqueue([job('a')]);
      await until('it has failed', async () => (await stage.queue.depth()).delayed === 1);
      await stage.query('alter table notification.away rename to messages');
      await stage.settled();
      expect(await stage.messages()).toEqual(['a:succeeded']);
    });
  });
});

function job(order: string, what: Notification['what'] = 'succeeded') {
  const data: Notification = { order, customer: 'customer-1', what, amount: 1_000 };
  return newJob({ id: `${order}:${what}`, kind: NOTIFY, data });
}

async function openStage() {
  await using stack = new AsyncDisposableStack();
  const redisUrl = inject('redisUrl');
  const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'notification'));
  const { prefix: redisPrefix } = stack.use(redisKeyspace(redisUrl, 'notification'));
  const queue: Queue = stack.use(
    await openRedisQueue({ url: redisUrl, prefix: redisPrefix, name: NOTIFICATIONS_QUEUE }),
  );
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  stack.defer(() => pool.end());
  const query = async (text: string) => (await pool.query(text)).rows;
  const resources = stack.move();
  return {
    queue,
    query,
    start: (more: Partial<NotificationOptions> = {}) =>
      startNotification({ databaseUrl, redisUrl, redisPrefix, gatewayMs: 1, log: quiet, ...more }),
    process: (env: Record<string, string>): ChildProgram =>
      startProcess(new URL('../notification/server.ts', import.meta.url), {
        env: { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, REDIS_PREFIX: redisPrefix, LOG_LEVEL: 'error', ...env },
      }),
    messages: async () => (await query('select id from notification.messages order by id')).map(({ id }) => id),
    /** Waits until the queue has nothing left to be done. */
    settled: () =>
      until('all jobs are settled', async () => {
        const { ready, delayed, leased } = await queue.depth();
        return ready + delayed + leased === 0;
      }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
