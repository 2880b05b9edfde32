/** What the tests of the payments share: a front with a database and queues of its own, and workers for it. */
import { randomUUID } from 'node:crypto';
import { createLog } from '@patterns/kit/log';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { createDatabase } from '@patterns/services/database';
import { inject } from 'vitest';
import { openDatabase } from '../database.ts';
import { type GatewayOptions, openGateway } from '../gateway.ts';
import { notifier } from '../notifications.ts';
import { openPostgresQueue } from '../postgres-queue.ts';
import { openRedisQueue } from '../redis-queue.ts';
import { startServer } from '../server.ts';
import { startWorker } from './worker-rig.ts';

export interface ShopOptions {
  broker?: 'redis' | 'postgres';
  /** Of each queue. */
  capacity?: number;
  outboxCapacity?: number;
}

export async function openShop({ broker = 'redis', capacity = 1_000, outboxCapacity }: ShopOptions = {}) {
  await using opened = new AsyncDisposableStack();
  const { url: databaseUrl } = opened.use(await createDatabase(inject('databaseUrl'), 'shop'));
  const pool = opened.adopt(await openDatabase(databaseUrl, { size: 4 }), (each) => each.end());
  /** Between the front and Redis. */
  const proxy = opened.use(await startFaultProxy(inject('redisUrl')));
  const open = async (name: string, url: string) =>
    opened.use(
      broker === 'redis'
        ? await openRedisQueue({ url, prefix: inject('redisPrefix'), name, capacity })
        : await openPostgresQueue({ url: databaseUrl, name, capacity }),
    );
  const name = randomUUID();
  const notifications = await open(name, proxy.url);
  const submissions = await open(randomUUID(), inject('redisUrl'));
  const log = createLog('test');
  log.silent = true;
  const front = opened.use(
    await startServer({
      databaseUrl,
      log,
      notifications,
      submissions,
      ...(outboxCapacity !== undefined && { outboxCapacity }),
    }),
  );
  /** A client of the notifications that has a line of its own. */
  const queue = await open(name, inject('redisUrl'));
  const running = opened.move();
  const count = async (query: string) => Number((await pool.query<{ count: string }>(query)).rows[0]?.count);
  return {
    url: front.url,
    pool,
    proxy,
    queue,
    pay: (payment: unknown, headers: Record<string, string> = {}) =>
      fetch(`${front.url}/payments`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(payment),
      }),
    hire: (gateway: GatewayOptions = {}) =>
      running.use(
        startWorker(
          queue,
          { notify: notifier({ pool, gateway: openGateway({ gatewayMs: 0, ...gateway }) }) },
          { maxAttempts: 2 },
        ),
      ),
    payments: () => count('select count(*) from shop.payments'),
    messages: () => count('select count(*) from shop.messages'),
    waiting: () => count('select count(*) from shop.outbox'),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

export const PAYMENT = { phone: '+4930123456', amount: 1_250 };
