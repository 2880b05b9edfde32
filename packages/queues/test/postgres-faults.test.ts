/** What the PostgreSQL queue does beyond the clauses that all brokers share: its transactions, its connections, its wake-ups. */
import { randomUUID } from 'node:crypto';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { newJob } from '../job.ts';
import { openPostgresQueue, type PostgresQueueOptions } from '../postgres-queue.ts';
import { work } from '../work.ts';

const HOLDS = ['lease', 'transaction'] as const;
const LONG_LEASE_MS = 60_000;
const jobs = (count: number) => Array.from({ length: count }, (_, data) => newJob({ kind: 'count', data }));

requirePostgres()('a queue in PostgreSQL', () => {
  const url = inject('databaseUrl');
  const open = (options: Partial<PostgresQueueOptions> = {}) =>
    openPostgresQueue({ url, name: `test-${randomUUID()}`, ...options });
  /** A connection of somebody else's. */
  const connect = async (databaseUrl = url) => {
    const client = new pg.Client(databaseUrl);
    await client.connect();
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
  };

  test('a job that is put there in a transaction is there when that commits, and never if it does not', async () => {
    await using _leaks = noLeaks();
    await using queue = await open();
    await using client = await connect();
    await client.query('begin');
    await queue.enqueueIn(client, jobs(1));
    expect(await queue.take({ limit: 1, leaseMs: LONG_LEASE_MS, waitMs: 0 })).toEqual([]);
    await client.query('rollback');
    await client.query('begin');
    const [job] = jobs(1);
    await queue.enqueueIn(client, [job!]);
    const waiting = queue.take({ limit: 10, leaseMs: LONG_LEASE_MS });
    await client.query('commit');
    expect((await waiting).map((delivery) => delivery.job)).toEqual([job]);
  });

  test('who waits is woken, and need not look', async () => {
    await using _leaks = noLeaks();
    const name = `test-${randomUUID()}`;
    await using producer = await open({ name });
    await using worker = await open({ name, lookEveryMs: 60_000 });
    const waiting = worker.take({ limit: 1, leaseMs: LONG_LEASE_MS, waitMs: 30_000 });
    await using watch = await connect();
    await restingListener(watch, name);
    await producer.enqueue(jobs(1));
    expect(await waiting).toHaveLength(1);
  });

  test.each(HOLDS)('who is not woken looks, and finds what is there (%s)', async (hold) => {
    await using _leaks = noLeaks();
    const name = `test-${randomUUID()}`;
    await using queue = await open({ name, hold, lookEveryMs: 50 });
    const waiting = queue.take({ limit: 1, leaseMs: LONG_LEASE_MS, waitMs: 30_000 });
    await using client = await connect();
    await restingListener(client, name);
    await client.query('insert into queues.jobs (queue, job) values ($1, $2)', [name, JSON.stringify(jobs(1)[0])]);
    expect(await waiting).toHaveLength(1);
  });

  test.each(HOLDS)(
    'nothing is lost when PostgreSQL ends all connections while jobs are worked on (%s)',
    async (hold) => {
      await using _leaks = noLeaks();
      const name = `test-${randomUUID()}`;
      await using queue = await open({ name, hold });
      await queue.enqueue(jobs(200));
      const done = new Set<unknown>();
      const stop = new AbortController();
      const count = async ({ data }: { data: unknown }) => {
        await new Promise((resolve) => setTimeout(resolve, 2)); // the work: it must not be over before the connections are
        done.add(data);
      };
      const working = work(queue, { count }, { signal: stop.signal, concurrency: 10, leaseMs: 500 });
      await using client = await connect();
      for (const part of [20, 60, 120]) {
        await until(`${part} jobs`, () => done.size >= part);
        const end = 'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1';
        expect((await client.query(end, [`queue ${name}`.slice(0, 63)])).rowCount).toBeGreaterThan(0);
      }
      await until('all jobs', () => done.size === 200, { withinMs: 15_000 });
      await until(
        'an empty queue',
        async () => {
          const { ready, delayed, leased, dead } = await queue.depth();
          return ready + delayed + leased + dead === 0;
        },
        { withinMs: 15_000 },
      );
      stop.abort();
      await working;
    },
  );

  test('a batch that is held keeps nobody from opening the queue, or from enqueueing', async () => {
    await using _leaks = noLeaks();
    const name = `test-${randomUUID()}`;
    await using holder = await open({ name, hold: 'transaction' });
    await holder.enqueue(jobs(2));
    const held = await holder.take({ limit: 1, leaseMs: LONG_LEASE_MS });
    await using other = await open({ name, hold: 'transaction' });
    await other.enqueue(jobs(1));
    expect(await other.depth()).toMatchObject({ ready: 2, leased: 1 });
    await holder.settle(held.map((delivery) => ({ delivery, as: 'done' })));
    expect(await other.depth()).toMatchObject({ ready: 2, leased: 0 });
  });

  test('of a batch nothing counts before all of it is settled', async () => {
    await using _leaks = noLeaks();
    const name = `test-${randomUUID()}`;
    await using other = await open({ name, hold: 'transaction' });
    const holder = await open({ name, hold: 'transaction' });
    await other.enqueue(jobs(2));
    const [first] = await holder.take({ limit: 2, leaseMs: LONG_LEASE_MS });
    expect(await holder.settle([{ delivery: first!, as: 'done' }])).toEqual([]);
    await holder[Symbol.asyncDispose]();
    expect(await other.take({ limit: 10, leaseMs: LONG_LEASE_MS })).toHaveLength(2);
  });

  test('what is under way counts, so that many at once do not fill a queue beyond its bound', async () => {
    await using _leaks = noLeaks();
    await using database = await createDatabase(url, 'room');
    await using queue = await open({ url: database.url, capacity: 4 });
    await queue.enqueue(jobs(1));
    await using client = await connect(database.url);
    await client.query('begin; lock table queues.jobs in share mode'); // nobody can write, and all can count
    const underWay = Array.from({ length: 3 }, () => queue.enqueue(jobs(1)));
    await expect(queue.enqueue(jobs(1))).rejects.toMatchObject({ code: 'full' });
    await client.query('commit');
    await Promise.all(underWay);
    expect(await queue.depth()).toMatchObject({ ready: 4 });
  });

  test.each(HOLDS)(
    'workers that take at the same time share the jobs, and none gets more than it asked for (%s)',
    async (hold) => {
      await using _leaks = noLeaks();
      const name = `test-${randomUUID()}`;
      await using stack = new AsyncDisposableStack();
      const workers = [];
      for (let n = 0; n < 4; n++) workers.push(stack.use(await open({ name, hold })));
      await workers[0]!.enqueue(jobs(100));
      const taken = await Promise.all(workers.map((worker) => worker.take({ limit: 30, leaseMs: LONG_LEASE_MS })));
      for (const batch of taken) expect(batch.length).toBeLessThanOrEqual(30);
      const data = taken.flat().map(({ job }) => job.data);
      expect(new Set(data).size, 'jobs in one hand each').toBe(data.length);
      expect(data.length).toBeGreaterThan(30);
    },
  );
});

/** Waits until the queue listens, and has looked once more since: now it waits for a notification, or its time. */
async function restingListener(client: pg.Client, name: string): Promise<void> {
  const query = `
    select from pg_stat_activity as listener join pg_stat_activity as looker using (application_name)
    where application_name = $1 and listener.query = 'listen queues' and listener.state = 'idle'
      and looker.query like '%run_at > now()%' and looker.state = 'idle' and looker.query_start > listener.query_start`;
  await until('a queue that listens and waits', async () => {
    return (await client.query(query, [`queue ${name}`.slice(0, 63)])).rowCount;
  });
}
