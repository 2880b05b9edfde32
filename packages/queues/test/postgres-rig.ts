/** The PostgreSQL queue as the conformance suite wants it: behind a proxy that cuts lines, and for a restart on a server of its own. */
import { randomUUID } from 'node:crypto';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { type StartedPostgres, startPostgres } from '@patterns/services/start-postgres';
import pg from 'pg';
import { openPostgresQueue } from '../postgres-queue.ts';
import type { Clause } from '../queue.ts';
import type { QueueRig } from './guarantees.ts';

/** `url`: a database for the tables of the queue, which the rigs share, as queues in production do. */
export const startPostgresRig =
  (url: string, hold: 'lease' | 'transaction') =>
  async (clause: Clause): Promise<QueueRig> => {
    const stack = new AsyncDisposableStack();
    let server: StartedPostgres | undefined;
    if (clause === 'survives-restart') server = stack.use(await startPostgres());
    const databaseUrl = server?.url ?? url;
    const proxy = stack.use(await startFaultProxy(databaseUrl));
    const queueName = `test-${randomUUID()}`;
    return {
      queueName,
      open: async (options) =>
        stack.use(await openPostgresQueue({ url: proxy.url, name: queueName, hold, ...options })),
      async enqueueRaw(text) {
        const client = new pg.Client({ connectionString: databaseUrl });
        await client.connect();
        await client.query('insert into queues.jobs (queue, job) values ($1, $2)', [queueName, text]);
        await client.end();
      },
      async whileCut(work) {
        proxy.refuse();
        proxy.cut();
        await work();
        proxy.accept();
      },
      restart:
        server &&
        (async () => {
          await server.kill('SIGKILL');
          await server.restart();
        }),
      startStuckWorker: (leaseMs) =>
        startProcess(new URL('stuck-worker.ts', import.meta.url), {
          args: [hold === 'lease' ? 'postgres' : 'postgres-transaction', queueName, `${leaseMs}`],
          env: { DATABASE_URL: databaseUrl },
        }),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  };
