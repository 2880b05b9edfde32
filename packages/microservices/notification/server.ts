/**
 * The notification service: tells customers what happened to their money. It takes jobs from a queue, at its own pace, and nobody
 * waits for it: while it is gone the jobs wait, and when it comes back it catches up.
 *
 * A job comes at least once; what it says is told once, since the message and the memory of it are one row with the job's id.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createLog, type Log } from '@patterns/kit/log';
import { openRedisQueue } from '@patterns/queues/redis-queue';
import { type Handler, type WorkOptions, work } from '@patterns/queues/work';
import { type Database, ensureSchema, openDatabase, untilThere } from '../chassis/database.ts';
import { envDatabase, envMs, envRedis, runService } from '../chassis/entry.ts';
import { serve } from '../chassis/service.ts';
import { startSpan } from '../chassis/spans.ts';
import { NOTIFICATIONS_QUEUE, NOTIFY, readNotification } from '../contracts/notification.ts';

const SCHEMA = `
  create schema if not exists notification;
  create table if not exists notification.messages (
    id text primary key,                           -- the job's: the second one finds its place taken
    order_id text not null,
    customer text not null,
    what text not null,
    amount bigint not null,
    at timestamptz not null default now()
  );
  create index if not exists messages_of_order on notification.messages (order_id);`;

export interface NotificationOptions extends Pick<WorkOptions, 'maxAttempts' | 'backoff'> {
  databaseUrl: string;
  redisUrl: string;
  redisPrefix?: string;
  port?: number | undefined;
  /** How long the text-message gateway takes for one: real ones take seconds. */
  gatewayMs?: number;
  /** How long a worker that was killed keeps its jobs from the next one. Heartbeats extend it, so it may be short. */
  leaseMs?: number;
  log?: Log;
  graceMs?: number | undefined;
  /** Ends a start that waits for the database or for Redis. */
  signal?: AbortSignal;
}

export async function startNotification({
  databaseUrl,
  redisUrl,
  redisPrefix = '',
  gatewayMs = 200,
  leaseMs = 5_000,
  maxAttempts = 20, // with waits of 10 s at most: a database may be away for a minute or two
  backoff = { baseMs: 200, capMs: 10_000 },
  log = createLog('notification'),
  signal,
  ...options
}: NotificationOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const db = opened.use(openDatabase({ url: databaseUrl, log }));
  await ensureSchema(db, SCHEMA, { signal });
  const onProblem = ({ message }: Error) => void log.warn('queue', { reason: message });
  const open = () => openRedisQueue({ url: redisUrl, prefix: redisPrefix, name: NOTIFICATIONS_QUEUE, onProblem });
  const queue = opened.use(await untilThere(open, { signal }));

  const stopping = new AbortController();
  const working = work(
    queue,
    { [NOTIFY]: notify(db, gatewayMs) },
    {
      signal: stopping.signal,
      leaseMs,
      maxAttempts,
      backoff,
      onSettled: ({ job, as, reason, attempt, ageMs }) =>
        void log.log(as === 'done' ? 'info' : 'warn', 'job', { id: job.id, as, reason, attempt, ageMs }),
      onProblem,
    },
  );
  opened.defer(() => {
    stopping.abort();
    return working;
  });

  const service = opened.use(
    await serve({
      name: 'notification',
      log,
      ...options,
      ready: () => db.query('select 1').then(() => true),
      routes: (app) => {
        // For the operator: what could not be told, and why. `queue.redrive` puts it back.
        app.get('/dead-letters', async (_request, response) => {
          const dead = await queue.dead();
          response.json({
            dead: dead.map(({ id, job, attempts, reason }) => ({ id, job: job?.id, attempts, reason })),
          });
        });
      },
    }),
  );
  const running = opened.move();
  return { url: service.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

// #region notify
/** Tells a customer, through a gateway that is slow and that would be given the job's id, to tell repetitions by, as we do. */
function notify(db: Database, gatewayMs: number): Handler {
  return async (job, { signal, traceparent }) => {
    const span = startSpan(NOTIFY, {
      kind: 'consumer',
      parent: traceparent,
      attributes: { 'messaging.message.id': job.id },
    });
    try {
      const { order, customer, what, amount } = readNotification(job.data);
      await delay(gatewayMs, undefined, { signal }); // whoever loses the lease stops here: somebody else is at it
      await db.query(
        `insert into notification.messages (id, order_id, customer, what, amount) values ($1, $2, $3, $4, $5)
         on conflict (id) do nothing`,
        [job.id, order, customer, what, amount],
      );
      span.end();
    } catch (error) {
      span.end(error);
      throw error;
    }
  };
}
// #endregion

if (import.meta.main) {
  await runService('notification', ({ log, port, signal }) => {
    const { redisUrl, prefix: redisPrefix } = envRedis();
    const [gatewayMs, leaseMs] = [envMs('GATEWAY_MS', 200), envMs('LEASE_MS', 5_000)];
    return startNotification({
      databaseUrl: envDatabase(),
      redisUrl,
      redisPrefix,
      gatewayMs,
      leaseMs,
      port,
      log,
      signal,
    });
  });
}
