/** What the tests of payment share: a provider in a database of its own, lines to and from it that can fail, and a payment service. */
import { randomUUID } from 'node:crypto';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@patterns/kit/log';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import type { Job } from '@patterns/queues/job';
import { openRedisQueue } from '@patterns/queues/redis-queue';
import { work } from '@patterns/queues/work';
import { createDatabase } from '@patterns/services/database';
import { redisKeyspace } from '@patterns/services/keyspace';
import { startDispatcher } from '@patterns/webhooks/dispatcher';
import { startProvider } from '@patterns/webhooks/provider';
import { createProvider } from '@patterns/webhooks/provider-database';
import pg from 'pg';
import { inject } from 'vitest';
import { NOTIFICATIONS_QUEUE, NOTIFY } from '../contracts/notification.ts';
import { type Charge, refundPath } from '../contracts/payment.ts';
import { type PaymentOptions, startPayment } from '../payment/server.ts';

export const quiet = createLog('test');
quiet.silent = true;

export interface RigOptions extends Partial<PaymentOptions> {
  /** A process of its own, that can be killed. */
  isProcess?: boolean;
  /** Starts what stands in front of the socket on which payment then listens; asked is what stands there. */
  front?: (socketPath: string) => Promise<{ readonly url: string } & AsyncDisposable>;
  /** The provider sends webhooks. */
  isTold?: boolean;
}

export interface Asked {
  status: number;
  charge: Charge;
}

const LOOPBACK = '127.0.0.1';
const PAYMENTS_OF = 'select id, amount::int, status from provider.payments where reference = $1';

export async function openPayment({ isProcess = false, isTold = false, front, ...more }: RigOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const [own, theirs] = await Promise.all([database(stack, 'payment'), database(stack, 'provider')]);
  await createProvider(theirs.url);
  const provider = stack.use(await startProvider({ databaseUrl: theirs.url, log: quiet, allow: [LOOPBACK] }));
  if (isTold) {
    stack.use(startDispatcher({ databaseUrl: theirs.url, log: quiet, allow: [LOOPBACK], timeFactor: 0.001 }));
  }
  /** From payment to the provider, and back. */
  const line = stack.use(await startFaultProxy(provider.url));
  /** From the provider's webhooks to payment. */
  const hooks = stack.use(await startFaultProxy({ host: LOOPBACK, port: 9 }));
  const { prefix: redisPrefix } = stack.use(redisKeyspace(inject('redisUrl'), 'payment'));
  const publicUrl = isTold ? hooks.url.replace('tcp:', 'http:') : undefined;
  const options = {
    databaseUrl: own.url,
    redisUrl: inject('redisUrl'),
    redisPrefix,
    providerUrl: line.url,
    providerTimeoutMs: 60_000,
    reconcileAfterMs: 60_000,
    publicUrl,
    log: quiet,
    ...more,
  };

  const services = stack.use(new AsyncDisposableStack());
  let [url, behind] = ['', ''];
  let child: ChildProgram | undefined;
  async function start(): Promise<void> {
    if (isProcess) {
      child = services.use(
        startProcess(new URL('../payment/server.ts', import.meta.url), { env: environment(options) }),
      );
      url = await child.url(30_000);
    } else if (front) {
      const socketPath = join(stack.use(await mkdtempDisposable(join(tmpdir(), 'payment-'))).path, 'app.sock');
      ({ url: behind } = services.use(await startPayment({ ...options, socketPath })));
      ({ url } = services.use(await front(socketPath)));
    } else ({ url } = services.use(await startPayment(options)));
    if (!isTold) return;
    hooks.target(url);
    await until('payment is registered', async () => (await own.query('select from shop.secrets')).length > 0);
  }
  await start();

  const ask = async (path: string, body?: object, headers: Record<string, string> = {}): Promise<Asked> => {
    const json = body && { method: 'POST', body: JSON.stringify(body) };
    const response = await fetch(url + path, { ...json, headers: { 'Content-Type': 'application/json', ...headers } });
    return { status: response.status, charge: (await response.json()) as Charge };
  };
  const request = (order: string, amount: number) => ({ order, customer: 'customer-1', amount });
  const told = await listen(stack, redisPrefix);
  const resources = stack.move();
  return {
    get url() {
      return url;
    },
    /** Where payment itself listens, when something stands in front of it. */
    get behind() {
      return behind;
    },
    line,
    /** No webhook is sent, until they are let go. */
    holdWebhooks: () => theirs.query(`update provider.endpoints set rests_until = now() + interval '1 hour'`),
    letWebhooksGo: () => theirs.query('update provider.endpoints set rests_until = null'),
    provider: { url: provider.url, query: theirs.query },
    query: own.query,
    redisPrefix,
    start,
    kill: () => child!.kill('SIGKILL'),
    charge: (order: string, amount = 1_000, headers?: Record<string, string>) =>
      ask('/charges', request(order, amount), headers),
    refund: (order: string, amount = 1_000) => ask(refundPath(order), request(order, amount)),
    find: (order: string) => ask(`/charges/${order}`),
    post: ask,
    /** Waits until a charge stands so, asked or not. */
    stands: (order: string, status: string, headers?: Record<string, string>) =>
      until(
        `${order} is ${status}`,
        async () => (await ask(`/charges/${order}`, undefined, headers)).charge.status === status,
      ),
    /** What the provider has taken for an order. */
    payments: (order: string) => theirs.query<{ id: string; amount: number; status: string }>(PAYMENTS_OF, [order]),
    /** Waits until the provider has the money for an order. */
    taken: (order: string) =>
      until('the provider has taken the money', async () => (await theirs.query(PAYMENTS_OF, [order])).length === 1),
    /** What is told about an order (`succeeded`, `refunded`), when the outbox is empty and that many have come. */
    async told(order: string, atLeast: number): Promise<string[]> {
      await until('the outbox is empty', async () => (await own.query('select from shop.outbox')).length === 0);
      const about = () => told.filter(({ id }) => id.startsWith(order)).map(({ id }) => id.slice(order.length + 1));
      await until(`${atLeast} jobs about ${order}`, () => about().length >= atLeast);
      return about();
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export type PaymentRig = Awaited<ReturnType<typeof openPayment>>;

/** An order that nobody else in this run has. */
export const newOrder = (): string => randomUUID();

async function database(stack: AsyncDisposableStack, name: string) {
  const { url } = stack.use(await createDatabase(inject('databaseUrl'), name));
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  stack.defer(() => pool.end());
  const query = async <T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<T[]> =>
    (await pool.query<T>(text, values)).rows;
  return { url, query };
}

/** Takes what is told, in place of the notification service. */
async function listen(stack: AsyncDisposableStack, prefix: string): Promise<readonly Job[]> {
  const queue = stack.use(await openRedisQueue({ url: inject('redisUrl'), prefix, name: NOTIFICATIONS_QUEUE }));
  const jobs: Job[] = [];
  const stopping = new AbortController();
  const working = work(queue, { [NOTIFY]: (job) => void jobs.push(job) }, { signal: stopping.signal });
  stack.defer(() => {
    stopping.abort();
    return working;
  });
  return jobs;
}

function environment(options: PaymentOptions): Record<string, string | undefined> {
  return {
    DATABASE_URL: options.databaseUrl,
    REDIS_URL: options.redisUrl,
    REDIS_PREFIX: options.redisPrefix,
    PROVIDER_URL: options.providerUrl,
    PUBLIC_URL: options.publicUrl,
    PROVIDER_TIMEOUT_MS: String(options.providerTimeoutMs),
    RECONCILE_AFTER_MS: String(options.reconcileAfterMs),
    LOG_LEVEL: 'error',
  };
}
