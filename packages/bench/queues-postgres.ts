/**
 * Queues in PostgreSQL: ours, graphile-worker, pg-boss, and the bare statements of ours.
 *
 * graphile-worker with the settings of which its documentation gives its own figures: 24 jobs at once, and batched with a local
 * queue of 500 and completions in batches. pg-boss in batches, fetched again at once while they are full, and woken by NOTIFY.
 */
import pg from 'pg';
import { type Contestant, giveUp, MAX_ATTEMPTS, type Payload, payload } from './queues-contestant.ts';

export const BARE_BATCH = 500;
export const BOSS_BATCH = 500;

const NAME = 'bench';

async function ours(url: string, hold: 'transaction' | 'lease'): Promise<Contestant> {
  const { openPostgresQueue } = await import('@patterns/queues/postgres-queue');
  const { oursOn } = await import('./queues-ours.ts');
  return oursOn(await openPostgresQueue({ url, name: NAME, hold, capacity: 1_000_000, onProblem: giveUp }));
}

async function graphile(url: string, batched: boolean): Promise<Contestant> {
  const { Logger, makeWorkerUtils, run } = await import('graphile-worker');
  const silent = new Logger(() => (level, message) => level === 'error' && giveUp(message));
  const utils = await makeWorkerUtils({ connectionString: url, logger: silent });
  await utils.migrate();
  const batching = batched ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } : {};
  return {
    async enqueue(dues) {
      await utils.addJobs(
        dues.map((due) => ({ identifier: 'noop', payload: payload(due), maxAttempts: MAX_ATTEMPTS })),
      );
    },
    async work(handle) {
      const preset = { worker: { concurrentJobs: 24, maxPoolSize: 25, ...batching } };
      const noop = async (data: unknown) => handle(data as Payload);
      await run({ connectionString: url, logger: silent, noHandleSignals: true, taskList: { noop }, preset });
    },
    async [Symbol.asyncDispose]() {
      await utils.release();
    },
  };
}

export const contestants = {
  async 'bare DELETE loop'(url: string): Promise<Contestant> {
    const client = new pg.Client(url);
    await client.connect();
    await client.query(`select pg_advisory_lock(1)`);
    await client.query(
      'create table if not exists bare (seq bigint generated always as identity primary key, job text)',
    );
    await client.query(`select pg_advisory_unlock(1)`);
    await client.query('listen bare');
    const pool = new pg.Pool({ connectionString: url, max: 4 });
    const take = `
      delete from bare where seq = any(array(select seq from bare order by seq limit ${BARE_BATCH} for update skip locked))
      returning job`;
    return {
      async enqueue(dues) {
        const jobs = dues.map((due) => JSON.stringify(payload(due)));
        const put = 'with put as (insert into bare (job) select unnest($1::text[])) select pg_notify($2, $3)';
        await pool.query(put, [jobs, 'bare', '']);
      },
      async work(handle) {
        let wake = () => {};
        client.on('notification', () => wake());
        void (async () => {
          for (;;) {
            const woken = new Promise<void>((resolve) => {
              wake = resolve;
            });
            await client.query('begin');
            const { rows } = await client.query<{ job: string }>({ name: 'take', text: take });
            for (const { job } of rows) handle(JSON.parse(job));
            await client.query('commit');
            if (rows.length === 0) await woken;
          }
        })().catch(giveUp);
      },
      async [Symbol.asyncDispose]() {
        await Promise.all([client.end(), pool.end()]);
      },
    };
  },

  'postgres, ours, held by a transaction': (url: string) => ours(url, 'transaction'),
  'postgres, ours, held by a lease': (url: string) => ours(url, 'lease'),
  'graphile-worker': (url: string) => graphile(url, false),
  'graphile-worker, batched': (url: string) => graphile(url, true),

  async 'pg-boss'(url: string): Promise<Contestant> {
    const { PgBoss } = await import('pg-boss');
    const boss = new PgBoss({ connectionString: url, useListenNotify: true, schedule: false });
    boss.on('error', giveUp);
    await boss.start();
    await boss.createQueue(NAME, { notify: true, retryLimit: MAX_ATTEMPTS - 1, retryBackoff: true, retryDelay: 1 });
    return {
      async enqueue(dues) {
        await boss.insert(
          NAME,
          dues.map((due) => ({ data: payload(due) })),
        );
      },
      async work(handle) {
        const options = { batchSize: BOSS_BATCH, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true };
        await boss.work<Payload>(NAME, options, async (jobs) => {
          for (const { data } of jobs) handle(data);
        });
      },
      [Symbol.asyncDispose]: () => boss.stop({ graceful: false }),
    };
  },
};
